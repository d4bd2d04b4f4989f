const test = JSON.parse(document.getElementById('test').textContent), main = document.querySelector('main');
const words = { en: { title: 'Listening test', name: 'Your name or a code', native: 'Amharic is my first language',
  phones: 'I use headphones', begin: 'Begin', next: 'Next', play: 'Listen to all of it before you answer.',
  mos: 'How natural does it sound?', ab: 'Which one sounds better?', mushra: 'How good is each one, compared with the reference?',
  scale: ['Bad', 'Poor', 'Fair', 'Good', 'Excellent'], first: 'The first', second: 'The second', same: 'No difference',
  reference: 'Reference', sound: 'Sound', done: 'Thank you! Save your answers and send the file back.', save: 'Save answers', another: 'Somebody else' },
 am: { title: 'የማዳመጥ ፈተና', name: 'ስምዎ ወይም መለያ', native: 'አማርኛ የአፍ መፍቻ ቋንቋዬ ነው', phones: 'የጆሮ ማዳመጫ እጠቀማለሁ',
  begin: 'ጀምር', next: 'ቀጣይ', play: 'ከመመለስዎ በፊት እስከ መጨረሻው ያዳምጡ።', mos: 'ድምፁ ምን ያህል ተፈጥሯዊ ነው?',
  ab: 'የትኛው የተሻለ ይሰማል?', mushra: 'እያንዳንዱ ከማነጻጸሪያው ጋር ሲወዳደር ምን ያህል ጥሩ ነው?', scale: ['በጣም መጥፎ', 'መጥፎ', 'መካከለኛ', 'ጥሩ', 'እጅግ ጥሩ'],
  first: 'የመጀመሪያው', second: 'ሁለተኛው', same: 'ልዩነት የለውም', reference: 'ማነጻጸሪያ', sound: 'ድምፅ',
  done: 'እናመሰግናለን! መልሶችዎን ያስቀምጡና ፋይሉን ይላኩ።', save: 'መልሶችን አስቀምጥ', another: 'ሌላ ሰው' } };
// A browser may keep nothing for pages that were opened as files: the answers are then lost when the page is closed.
let store = null; try { store = window.localStorage; } catch (error) { if (error.name !== 'SecurityError') throw error; }
let language = 'am', state = JSON.parse(store?.getItem(test.id) || 'null');
const say = key => words[language][key];
const make = (tag, values = {}, ...children) => { const node = Object.assign(document.createElement(tag), values);
  node.append(...children); return node; };
function random(seed) { return () => { seed |= 0; seed = seed + 0x6D2B79F5 | 0; let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
  t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t; return ((t ^ t >>> 14) >>> 0) / 4294967296; }; }
function shuffled(list, next) { const out = [...list]; for (let i = out.length - 1; i > 0; i--) {
  const j = Math.floor(next() * (i + 1)); [out[i], out[j]] = [out[j], out[i]]; } return out; }
const keep = () => store?.setItem(test.id, JSON.stringify(state));
function show() {
  document.documentElement.lang = language; document.querySelector('h1').textContent = say('title'); main.replaceChildren();
  if (!state) return welcome();
  if (state.answers.length >= state.trials.length) return finish();
  trial(test.trials.find(t => t.name === state.trials[state.answers.length])); }
function welcome() {
  const name = make('input', { type: 'text', autocomplete: 'off' }), native = make('input', { type: 'checkbox' }),
    phones = make('input', { type: 'checkbox' });
  const begin = make('button', { className: 'go', textContent: say('begin'), onclick: () => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0], next = random(seed);
    state = { listener: name.value.trim() || 'listener-' + seed.toString(16), seed, native: native.checked, headphones: phones.checked,
      trials: shuffled(test.trials.map(t => t.name), next).slice(0, test.per_listener || undefined), answers: [] };
    keep(); show(); } });
  main.append(make('p', {}, make('label', {}, say('name'), ' ', name)), make('p', {}, make('label', {}, native, ' ', say('native'))),
    make('p', {}, make('label', {}, phones, ' ', say('phones'))), begin); }
function player(sound, heard) {
  const audio = make('audio', { controls: true, src: test.sounds[sound] });
  audio.addEventListener('ended', () => heard(sound));
  audio.addEventListener('play', () => document.querySelectorAll('audio').forEach(o => o === audio || o.pause()));
  return audio; }
function trial(current) {
  const place = state.answers.length, began = Date.now(), ended = new Set(), scores = {}, next = random(state.seed + place);
  const sounds = shuffled(current.sounds, next);
  const button = make('button', { className: 'go', disabled: true, textContent: say('next'), onclick: () => {
    state.answers.push({ trial: current.name, order: sounds, scores, seconds: (Date.now() - began) / 1000 }); keep(); show(); } });
  const check = () => button.disabled = !(sounds.every(s => ended.has(s)) && (test.kind === 'ab' ? 'choice' in scores : sounds.every(s => s in scores)));
  const heard = sound => { ended.add(sound); check(); };
  main.append(make('progress', { value: place, max: state.trials.length }), make('p', { className: 'soft',
    textContent: `${place + 1} / ${state.trials.length}` }), make('p', { className: 'text', lang: 'am', textContent: current.text }),
    make('p', { className: 'soft', textContent: say('play') }), make('p', {}, make('b', { textContent: say(test.kind) })));
  if (current.reference) main.append(make('p', { textContent: say('reference') }), player(current.reference, () => {}));
  if (test.kind === 'mos') main.append(player(sounds[0], heard), choices(say('scale').map((w, i) => [i + 1, `${i + 1} · ${w}`]),
    value => { scores[sounds[0]] = value; check(); }));
  if (test.kind === 'ab') { sounds.forEach((s, i) => main.append(make('p', { textContent: say(i ? 'second' : 'first') }), player(s, heard)));
    main.append(choices([[sounds[0], say('first')], ['', say('same')], [sounds[1], say('second')]], value => { scores.choice = value; check(); })); }
  if (test.kind === 'mushra') sounds.forEach((s, i) => { const number = make('output', { textContent: '–' });
    const slider = make('input', { type: 'range', min: 0, max: 100, value: 50, ariaLabel: `${say('sound')} ${i + 1}`,
      oninput: () => { scores[s] = Number(slider.value); number.textContent = slider.value; check(); } });
    main.append(make('p', { textContent: `${say('sound')} ${i + 1}` }), player(s, heard), make('div', { className: 'slider' }, slider, number)); });
  main.append(make('p', {}, button)); }
function choices(options, chosen) {
  return make('div', { className: 'choices' }, ...options.map(([value, label]) => make('label', {},
    make('input', { type: 'radio', name: 'choice', onchange: () => chosen(value) }), ' ', label))); }
function finish() {
  const result = JSON.stringify({ format: 1, test: test.id, kind: test.kind, language, listener: state.listener, native: state.native,
    headphones: state.headphones, answers: state.answers }, null, 1);
  const name = `${state.listener.replace(/[^\p{L}\p{M}\p{N}-]/gu, '_')}-${(state.seed >>> 0).toString(16)}`;
  const link = make('a', { className: 'go', textContent: say('save'), download: `listening-${test.id.slice(0, 8)}-${name}.json`,
    href: URL.createObjectURL(new Blob([result], { type: 'application/json' })), onclick: () => another.hidden = false });
  const another = make('button', { textContent: say('another'), hidden: true,
    onclick: () => { store?.removeItem(test.id); state = null; show(); } });
  main.append(make('p', { textContent: say('done') }), make('p', {}, link), make('p', {}, another)); }
document.getElementById('language').addEventListener('change', event => { language = event.target.value; show(); });
show();
