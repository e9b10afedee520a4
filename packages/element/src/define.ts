import { HumanCastElement } from './human-cast-element.js';

export { HumanCastElement };

// A server that renders pages has no registry.
const registry = globalThis.customElements as CustomElementRegistry | undefined;
if (!registry?.get('human-cast')) registry?.define('human-cast', HumanCastElement);
