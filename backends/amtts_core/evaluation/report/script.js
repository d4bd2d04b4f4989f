for (const table of document.querySelectorAll('table.sortable'))
  table.querySelectorAll('th[data-sort]').forEach((head, column) => head.addEventListener('click', () => {
    const up = head.getAttribute('aria-sort') !== 'ascending';
    table.querySelectorAll('th').forEach(other => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const place = head.cellIndex, body = table.tBodies[0];
    const key = row => { const cell = row.cells[place], value = cell.dataset.value;
      return value === undefined || value === '' ? cell.textContent : Number(value); };
    [...body.rows].sort((a, b) => { const x = key(a), y = key(b);
      return (typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y))) * (up ? 1 : -1);
    }).forEach(row => body.append(row));
  }));
const list = document.getElementById('items');
if (list) {
  const order = document.getElementById('order'), category = document.getElementById('category'),
    search = document.getElementById('search');
  const apply = () => {
    const [name, direction] = order.value.split(' ');
    [...list.children].sort((a, b) => (Number(a.dataset[name]) - Number(b.dataset[name])) * Number(direction))
      .forEach(item => list.append(item));
    for (const item of list.children)
      item.hidden = (category.value && item.dataset.category !== category.value) ||
        (search.value && !item.textContent.includes(search.value));
  };
  for (const control of [order, category, search]) control.addEventListener('input', apply);
}
document.addEventListener('play', event => { for (const other of document.querySelectorAll('audio'))
  if (other !== event.target) other.pause(); }, true);
