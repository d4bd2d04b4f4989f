"""The tabs, a file each. A tab is a function `build(studio)` that makes its components inside the tab that is open."""
