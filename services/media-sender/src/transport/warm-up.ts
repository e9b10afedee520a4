import { processCertificate } from './dtls.js';

/** Does the one-time work at the start of the process that the first connection would otherwise wait for. */
export async function warmUp(): Promise<void> {
  await processCertificate();
}
