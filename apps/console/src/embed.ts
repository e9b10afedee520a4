import '@humancast/element/define';

/** Query parameters of `/embed` that are attributes of the element, too. */
const ATTRIBUTES = ['session', 'token', 'muted', 'captions', 'mic', 'transparent', 'fit', 'lang'];

const cast = document.createElement('human-cast');
for (const [name, value] of new URLSearchParams(location.search)) {
  if (ATTRIBUTES.includes(name)) cast.setAttribute(name, value);
}
// Behind a proxy, everything may be under a path prefix.
cast.src = new URL('.', document.baseURI).href;
cast.controls = new URLSearchParams(location.search).get('controls') !== 'false';
document.querySelector('main')?.append(cast);
