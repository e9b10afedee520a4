import { type Producer, type Stack, ViewerPage, waitFor } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scene } from './support/scene.ts';

interface Answer {
  readonly status: number;
  readonly etag: string;
  readonly body: string;
}

/** A WHEP player in Chromium without humancast's client. */
describe('WHEP player', () => {
  let scene: Scene;
  let stack: Stack;
  let producer: Producer;

  beforeAll(async () => {
    scene = await Scene.start({ signalings: 2, turn: false });
    ({ stack, producer } = scene);
  });

  afterAll(() => scene?.stop());

  it('restarts ICE at another signaling process, and its video continues', async () => {
    const page = await openPlayer();
    expect(await offer(page)).toMatchObject({ status: 201 });
    const viewer = new ViewerPage(page);
    await viewer.playing();
    const before = await selectedFragment(page);
    const restarted = await restart(page, stack.signalingUrls[1] as string);
    expect(restarted, restarted.body).toMatchObject({ status: 200 });
    expect(restarted.etag).not.toBe('');
    await waitFor('a pair of the new ICE session is used', async () => {
      const fragment = await selectedFragment(page);
      return fragment !== undefined && fragment !== before;
    });
    const { framesDecoded } = await viewer.see();
    await waitFor('video to continue', async () => (await viewer.see()).framesDecoded > framesDecoded + 30);
    await page.close();
  });

  it('that supports only H.264 is rejected by an avatar without H.264 renditions', async () => {
    const page = await openPlayer();
    const answer = await offer(page, 'video/H264');
    expect(answer.status).toBe(406);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'no_common_codec' });
    await page.close();
  });

  /** Opens a page of signaling's origin without humancast's scripts. */
  async function openPlayer(): Promise<Page> {
    const page = await scene.newPage();
    await page.goto(producer.signaling('/healthz'));
    return page;
  }

  async function offer(page: Page, codec?: string): Promise<Answer> {
    const { id, token } = await producer.createSession('lights');
    return page.evaluate(
      async ([url = '', bearer, mimeType]) => {
        const peer = new RTCPeerConnection();
        const video = Object.assign(document.createElement('video'), { autoplay: true, muted: true });
        video.srcObject = new MediaStream();
        document.body.append(video);
        peer.ontrack = ({ track }) => (video.srcObject as MediaStream).addTrack(track);
        peer.addTransceiver('audio', { direction: 'recvonly' });
        const transceiver = peer.addTransceiver('video', { direction: 'recvonly' });
        const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
        if (mimeType) transceiver.setCodecPreferences(codecs.filter((each) => each.mimeType === mimeType));
        await peer.setLocalDescription();
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/sdp', authorization: `Bearer ${bearer}` },
          body: peer.localDescription?.sdp ?? '',
        });
        const body = await response.text();
        if (response.ok) await peer.setRemoteDescription({ type: 'answer', sdp: body });
        const resource = new URL(response.headers.get('location') ?? '', url).pathname;
        Object.assign(window, { peers: [peer], player: { peer, resource, answer: body } });
        return { status: response.status, etag: response.headers.get('etag') ?? '', body };
      },
      [producer.signaling(`/whep/lights?session=${id}`), token, codec ?? ''],
    );
  }

  /**
   * Restarts ICE (RFC 9725 §4.3.3). The request is sent from here, because the other process is another origin for the page.
   */
  async function restart(page: Page, origin: string): Promise<Answer> {
    await page.exposeFunction('patch', async (resource: string, fragment: string): Promise<Answer> => {
      const response = await fetch(origin + resource, {
        method: 'PATCH',
        headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' },
        body: fragment,
      });
      return { status: response.status, etag: response.headers.get('etag') ?? '', body: await response.text() };
    });
    return page.evaluate(async () => {
      const { player, patch } = window as unknown as {
        player: { peer: RTCPeerConnection; resource: string; answer: string };
        patch: (resource: string, fragment: string) => Promise<Answer>;
      };
      const { peer, resource, answer } = player;
      const of = (sdp: string, name: string) => new RegExp(`^a=${name}:(.*?)\r?$`, 'm').exec(sdp)?.[1] ?? '';
      peer.restartIce();
      await peer.setLocalDescription();
      const sdp = peer.localDescription?.sdp ?? '';
      const fragment = ['ice-ufrag', 'ice-pwd'].map((name) => `a=${name}:${of(sdp, name)}\r\n`).join('');
      const restarted = await patch(resource, fragment);
      if (restarted.status === 200) {
        const next = answer
          .replace(/^(a=ice-ufrag:).*\r$/gm, `$1${of(restarted.body, 'ice-ufrag')}\r`)
          .replace(/^(a=ice-pwd:).*\r$/gm, `$1${of(restarted.body, 'ice-pwd')}\r`);
        await peer.setRemoteDescription({ type: 'answer', sdp: next });
      }
      return restarted;
    });
  }
});

/** @returns the local ICE username fragment of the selected candidate pair. */
function selectedFragment(page: Page): Promise<string | undefined> {
  return page.evaluate(async () => {
    const [peer] = (window as unknown as { peers: RTCPeerConnection[] }).peers;
    const stats = await peer?.getStats();
    const transport = [...(stats?.values() ?? [])].find(({ type }) => type === 'transport');
    const pair = stats?.get(transport?.selectedCandidatePairId ?? '');
    return stats?.get(pair?.localCandidateId ?? '')?.usernameFragment;
  });
}
