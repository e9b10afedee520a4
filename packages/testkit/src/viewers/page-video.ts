/** JavaScript for a page with one `<human-cast>`, such as the console: its video element, inside of the shadow tree. */
export const PAGE_VIDEO = `document.querySelector('human-cast')?.shadowRoot.querySelector('video')`;
/** JavaScript for such a page: the state of its session, `undefined` without one. */
export const PAGE_STATE = `document.querySelector('human-cast')?.state`;
