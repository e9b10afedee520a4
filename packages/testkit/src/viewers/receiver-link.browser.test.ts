import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { launchChromium, type TestChromium } from '../chromium.js';
import { startTurn, type TestTurn } from '../turn.js';
import type { Offer } from './receiver-answer.js';
import { ReceiverLink } from './receiver-link.js';

/** More allocations than coturn gives one user at a time (`user-quota`, 16). */
const HAND_OVERS = 20;

const OFFER: Offer = {
  usernameFragment: 'abcd',
  password: '0123456789012345678901',
  fingerprint: { algorithm: 'sha-256', value: '00' },
  candidates: [],
  tracks: [],
};

describe('TURN allocations of a viewer whose session changes hosts often', () => {
  let turn: TestTurn;
  let server: ReturnType<TestTurn['iceServer']>;
  let chromium: TestChromium | undefined;
  beforeAll(async () => {
    turn = await startTurn();
    server = turn.iceServer();
  });
  afterAll(async () => {
    await chromium?.close();
    await turn.stop();
  });

  /** coturn frees a returned allocation within a second, and a forgotten one after ten minutes. */
  async function openRelayed(): Promise<ReceiverLink> {
    return vi.waitFor(
      async () => {
        const iceServers = [server];
        const link = await ReceiverLink.open({ offer: OFFER, iceServers, relayOnly: true, onMedia: () => {} });
        if (link.isRelayed) return link;
        await link.close();
        throw new Error('the relay rejected an allocation');
      },
      { timeout: 10_000, interval: 100 },
    );
  }

  it('ReceiverLink gets an allocation for each connection, because it returns the previous one', async () => {
    let before: ReceiverLink | undefined;
    for (let i = 0; i < HAND_OVERS; i++) {
      const link = await openRelayed();
      await before?.close();
      before = link;
    }
    await before?.close();
  });

  it('Chromium gets an allocation for each connection, because it returns the previous one', async () => {
    chromium = await launchChromium();
    const page = await chromium.context.newPage();
    const changes = await page.evaluate(
      async ([iceServers, times]) => {
        const isRelayed = (connection: RTCPeerConnection) =>
          new Promise<boolean>((resolve) => {
            connection.onicecandidate = ({ candidate }) => {
              if (!candidate || candidate.type === 'relay') resolve(candidate !== null);
            };
            connection.createDataChannel('');
            void connection.setLocalDescription();
          });
        const deadline = performance.now() + 30_000;
        let before: RTCPeerConnection | undefined;
        let done = 0;
        while (done < times && performance.now() < deadline) {
          const connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' });
          if (await isRelayed(connection)) {
            before?.close();
            before = connection;
            done++;
          } else {
            connection.close();
            await new Promise((resolve) => setTimeout(resolve, 100));
          }
        }
        return done;
      },
      [[turn.iceServer()], HAND_OVERS] as [RTCIceServer[], number],
    );
    expect(changes).toBe(HAND_OVERS);
  });
});
