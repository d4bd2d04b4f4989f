"""Several processes: what they share and how a network is split over them."""
