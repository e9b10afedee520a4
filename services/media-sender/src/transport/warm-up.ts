import { processCertificate } from './dtls.js';

/** Does once, at the start of the process, what the first connection would otherwise wait for. */
export async function warmUp(): Promise<void> {
  await processCertificate();
}
