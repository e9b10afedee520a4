import type { SessionEvent, SignalMessage } from '@humancast/protocol';
import { viewerMessageSchema } from '@humancast/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeBrowser, FakeElement, type FakePeer, type FakeSocket } from '../test/fakes.js';
import { connect } from './connect.js';
import type { ClientError } from './errors.js';
import type { ClientStats } from './report.js';
import type { Session, SessionState } from './session.js';

let browser: FakeBrowser;
let element: FakeElement;
let session: Session;
let states: SessionState[];
let errors: ClientError[];
let events: SessionEvent[];
let stats: ClientStats[];

beforeEach(async () => {
  browser = new FakeBrowser();
  element = new FakeElement();
  states = [];
  errors = [];
  events = [];
  stats = [];
  session = connect({
    url: 'https://avatar.example/base/',
    session: 'ses_12345678',
    token: 'token',
    video: element as unknown as HTMLVideoElement,
    environment: browser.environment,
    onState: (state) => states.push(state),
    onError: (error) => errors.push(error),
    onEvent: (event) => events.push(event),
    onStats: (figures) => stats.push(figures),
  });
  await browser.pass(0);
});

/** Checks that the server would accept everything the client sent. */
afterEach(() => {
  for (const socket of browser.sockets) {
    for (const message of socket.sent) expect(viewerMessageSchema.parse(message)).toEqual(message);
  }
});

const socket = (): FakeSocket => browser.sockets.at(-1) as FakeSocket;
const peer = (index: number): FakePeer => browser.peers[index] as FakePeer;
const offer = (connection: string, epoch: number, sdp = `offer ${connection}`): SignalMessage => ({
  type: 'offer',
  connection,
  epoch,
  sdp,
});
const event = (body: object) =>
  ({ type: 'event', event: { id: '1-0', session: 'ses_12345678', atMs: 1, ...body } }) as SignalMessage;

async function play(connection = 'conn-one', epoch = 1): Promise<void> {
  socket().join();
  socket().receive(offer(connection, epoch));
  await browser.pass(500);
  expect(session.state).toBe('playing');
}

describe('Session until the first frame', () => {
  it('tells that the video has its color above its matte before there is any', () => {
    const alphas: string[] = [];
    session.on('alpha', (alpha) => alphas.push(`${alpha} ${browser.peers.length}`));
    socket().join({ alpha: 'stack' });
    expect(alphas).toEqual(['stack 0']);
  });

  it('joins, answers the offer, trickles candidates both ways and plays muted', async () => {
    expect(socket().url).toBe('wss://avatar.example/base/v1/signal');
    socket().join();
    expect(socket().sent).toEqual([{ type: 'join', session: 'ses_12345678', token: 'token' }]);
    socket().receive(offer('conn-one', 1));
    socket().receive({
      type: 'candidate',
      connection: 'conn-one',
      candidate: { candidate: 'candidate:9', sdpMid: '0' },
    });
    await browser.pass(200);
    expect(peer(0).configuration).toMatchObject({
      iceTransportPolicy: 'relay',
      iceServers: [{ urls: ['turn:turn.example:3478'] }],
    });
    expect(socket().sent.slice(1, 3)).toEqual([
      { type: 'answer', connection: 'conn-one', sdp: 'answer to offer conn-one' },
      {
        type: 'candidate',
        connection: 'conn-one',
        candidate: { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 },
      },
    ]);
    expect(peer(0).candidates).toEqual([{ candidate: 'candidate:9', sdpMid: '0' }]);
    expect(element.shown).toEqual([peer(0).video, peer(0).audio]);
    expect(element.muted).toBe(true);
    expect(states).toEqual(['playing']);
  });

  it('uses the credentials of each offer, because those of the join expire', async () => {
    await play();
    const iceServers = [{ urls: ['turn:turn.example:3478'], username: 'later', credential: 'fresh' }];
    socket().receive({ ...offer('conn-two', 2), iceServers } as SignalMessage);
    expect(peer(1).configuration).toMatchObject({ iceTransportPolicy: 'relay', iceServers });
    // An offer without credentials uses the latest ones.
    socket().receive(offer('conn-three', 3));
    expect(peer(2).configuration).toMatchObject({ iceServers });
  });

  it('uses any path if the server has no relay', async () => {
    socket().join({ relayOnly: false, iceServers: [] });
    socket().receive(offer('conn-one', 1));
    await browser.pass(100);
    expect(peer(0).configuration).toMatchObject({ iceTransportPolicy: 'all', iceServers: [] });
  });

  it('reports the position in the queue while every media-sender is full', async () => {
    socket().join();
    socket().receive({ type: 'waiting', position: 2 });
    expect([session.state, session.waitingPosition]).toEqual(['waiting', 2]);
    socket().receive({ type: 'waiting', position: 1 });
    await browser.pass(600_000);
    expect([session.state, session.waitingPosition]).toEqual(['waiting', 1]);
    expect(socket().sentOf('reconnect')).toEqual([]);
    socket().receive(offer('conn-one', 1));
    await browser.pass(500);
    expect([session.state, session.waitingPosition]).toEqual(['playing', undefined]);
  });

  it('requests a connection again if none is offered, at growing intervals, and finally fails', async () => {
    socket().join();
    await browser.pass(60_000);
    expect(socket().sentOf('reconnect').length).toBeGreaterThanOrEqual(5);
    expect(socket().sentOf('reconnect').length).toBeLessThanOrEqual(20);
    expect(session.state).toBe('connecting');
    await browser.pass(70_000);
    expect(session.state).toBe('failed');
    expect(errors.at(-1)).toMatchObject({ code: 'no_media', fatal: true });
  });

  it('requests another connection when an offer cannot be applied or shows no frame in time', async () => {
    socket().join();
    socket().receive(offer('conn-bad', 1, 'nonsense'));
    await browser.pass(5000);
    expect(peer(0).closed).toBe(true);
    expect(socket().sentOf('reconnect')).toHaveLength(1);
    socket().receive(offer('conn-dark', 1));
    await browser.pass(0);
    peer(1).decodable = false;
    await browser.pass(35_000);
    expect(peer(1).closed).toBe(true);
    expect(socket().sentOf('reconnect').length).toBeGreaterThanOrEqual(2);
  });

  it('keeps a connection without a frame for half a minute while packets arrive, as over a slow link', async () => {
    socket().join();
    socket().receive(offer('conn-slow', 1));
    await browser.pass(0);
    peer(0).decodable = false;
    await browser.pass(25_000);
    expect(peer(0).closed).toBe(false);
    peer(0).decodable = true;
    await browser.pass(1000);
    expect(states.at(-1)).toBe('playing');
    expect(socket().sentOf('reconnect')).toEqual([]);
  });

  it('abandons a connection without packets after 10 s', async () => {
    socket().join();
    socket().receive(offer('conn-dead', 1));
    await browser.pass(0);
    peer(0).flowing = false;
    await browser.pass(9000);
    expect(peer(0).closed).toBe(false);
    await browser.pass(1500);
    expect(peer(0).closed).toBe(true);
  });
});

describe('Session after a permanent error', () => {
  for (const code of ['token_expired', 'unauthorized', 'session_not_found', 'viewer_limit', 'replaced']) {
    it(`does not retry after ${code}`, async () => {
      socket().onopen?.();
      socket().receive({ type: 'error', code, message: 'as the server puts it' });
      await browser.pass(300_000);
      expect(browser.sockets).toHaveLength(1);
      expect(states).toEqual(['failed']);
      expect(errors).toEqual([{ code, fatal: true, message: expect.stringMatching(/^[A-Z].*\.$/) }]);
      expect(browser.pendingTimers).toBe(0);
    });
  }

  it('derives the error from the close code when no error message came before it', async () => {
    socket().onclose?.({ code: 4401 });
    await browser.pass(300_000);
    expect(browser.sockets).toHaveLength(1);
    expect(errors.map(({ code }) => code)).toEqual(['unauthorized']);
  });

  it('passes on events.missed, and continues after unknown messages and events', async () => {
    await play();
    const missed = { type: 'events.missed', afterId: '1-0', throughId: '9-0', scope: 'all' };
    socket().receive({ type: 'scene', name: 'beach' } as never);
    socket().receive(event({ type: 'speech.paused', seq: 1 }));
    socket().receive(event(missed));
    expect(events).toMatchObject([{ type: 'speech.paused' }, missed]);
    expect(session.state).toBe('playing');
  });

  it('ends with the session, by an event or an error', async () => {
    await play();
    socket().receive(event({ type: 'session.ended', reason: 'deleted' }));
    expect(session.state).toBe('ended');
    expect(events).toHaveLength(1);
    expect(peer(0).closed).toBe(true);
    await browser.pass(300_000);
    expect(browser.sockets).toHaveLength(1);
  });

  it('reports a browser without WebRTC', async () => {
    const seen: ClientError[] = [];
    const lacking = connect({
      url: 'https://avatar.example',
      session: 'ses_12345678',
      token: 'token',
      video: new FakeElement() as unknown as HTMLVideoElement,
      environment: { ...browser.environment, supported: false },
      onError: (error) => seen.push(error),
    });
    await browser.pass(0);
    expect(lacking.state).toBe('failed');
    expect(seen).toMatchObject([{ code: 'unsupported', fatal: true }]);
  });
});

describe('Session.state', () => {
  it('is `stalled` while frames are decoded but not presented, and makes the element render again', async () => {
    element.presented = 0;
    await playPresenting();
    const stream = element.srcObject;
    const { shown } = element;
    await browser.pass(1500);
    expect(element.srcObject).not.toBe(stream);
    expect(element.shown).toEqual(shown);
    expect(session.state).toBe('playing');
    await browser.pass(1500);
    expect(session.state).toBe('stalled');
    await present(1000);
    expect(session.state).toBe('playing');
    expect(states).toEqual(['playing', 'stalled', 'playing']);
    // Another connection would not be shown either.
    expect(socket().sentOf('reconnect')).toEqual([]);
  });

  it('stays `playing` in a hidden page, where browsers present nothing', async () => {
    element.presented = 0;
    await playPresenting();
    browser.visible = false;
    const stream = element.srcObject;
    await browser.pass(20_000);
    expect(states).toEqual(['playing']);
    expect(element.srcObject).toBe(stream);
  });

  it('is `stalled` when no frame is decoded while audio continues', async () => {
    await play();
    peer(0).decodable = false;
    await browser.pass(3000);
    expect(session.state).toBe('stalled');
    peer(0).decodable = true;
    await browser.pass(1000);
    expect(session.state).toBe('playing');
  });

  it('is `paused` if the browser does not play, until play() is called from a click', async () => {
    element.allowsPlay = false;
    socket().join();
    socket().receive(offer('conn-one', 1));
    await browser.pass(5000);
    expect(session.state).toBe('paused');
    expect(await session.play()).toBe(false);
    element.allowsPlay = true;
    expect(await session.play()).toBe(true);
    expect(session.state).toBe('playing');
    expect(states).toEqual(['paused', 'playing']);
  });

  it('plays again when a page that was paused while it was hidden is shown again', async () => {
    await play();
    element.pause();
    expect(session.state).toBe('paused');
    browser.page('visibilitychange');
    await browser.pass(0);
    expect(session.state).toBe('playing');
  });

  async function playPresenting(): Promise<void> {
    socket().join();
    socket().receive(offer('conn-one', 1));
    await present(1000);
    expect(session.state).toBe('playing');
  }

  async function present(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await browser.pass(50);
      element.presented = (element.presented ?? 0) + 1;
    }
  }
});

describe('Session in a page that was frozen', () => {
  it('detects a dead socket at once, and resumes as the same viewer', async () => {
    await play();
    const frozen = socket();
    frozen.answersPings = false;
    peer(0).flowing = false;
    browser.page('visibilitychange');
    await browser.pass(2000);
    expect(frozen.closed).toBe(true);
    await browser.pass(1000);
    socket().onopen?.();
    expect(socket().sent[0]).toMatchObject({ type: 'join', viewer: 'vw_12345678', resume: 'secret-of-the-viewer' });
  });

  it('keeps a socket that answers', async () => {
    await play();
    browser.page('visibilitychange');
    await browser.pass(5000);
    expect(browser.sockets).toHaveLength(1);
  });
});

it("reports that the browser rejects the server's relay", async () => {
  browser.rejectsConfiguration = true;
  socket().join();
  socket().receive(offer('conn-one', 1));
  await browser.pass(0);
  expect(session.state).toBe('failed');
  expect(errors).toMatchObject([{ code: 'bad_ice_servers', fatal: true }]);
});

describe('Session without signaling', () => {
  it('plays on, and resumes as the same viewer with the same connection', async () => {
    await play();
    socket().onclose?.({ code: 1006 });
    await browser.pass(1000);
    expect(browser.sockets).toHaveLength(2);
    socket().join();
    expect(socket().sent[0]).toEqual({
      type: 'join',
      session: 'ses_12345678',
      token: 'token',
      viewer: 'vw_12345678',
      resume: 'secret-of-the-viewer',
      connection: 'conn-one',
    });
    await browser.pass(20_000);
    expect(states).toEqual(['playing']);
    expect(errors).toEqual([]);
    expect(peer(0).closed).toBe(false);
    expect(socket().sentOf('reconnect')).toEqual([]);
  });

  it('joins as a new viewer if its resume secret is rejected, while the old connection plays', async () => {
    await play();
    socket().onclose?.({ code: 1006 });
    await browser.pass(1000);
    socket().onopen?.();
    socket().receive({ type: 'error', code: 'resume_refused', message: 'rejected' });
    await browser.pass(1000);
    expect(browser.sockets).toHaveLength(3);
    socket().join({ viewer: 'vw_another1', resume: 'another-secret' });
    expect(socket().sent[0]).toEqual({ type: 'join', session: 'ses_12345678', token: 'token', connection: 'conn-one' });
    expect(states).toEqual(['playing']);
    expect(errors).toMatchObject([{ code: 'resume_refused', fatal: false }]);
    socket().onclose?.({ code: 1006 });
    await browser.pass(1000);
    socket().onopen?.();
    expect(socket().sent[0]).toMatchObject({ viewer: 'vw_another1', resume: 'another-secret' });
  });

  it('joins as a new viewer if the server knows no resume secret', async () => {
    const resume = undefined;
    socket().join({ resume } as object);
    socket().onclose?.({ code: 1006 });
    await browser.pass(1000);
    socket().onopen?.();
    expect(socket().sent[0]).not.toHaveProperty('viewer');
  });

  it('waits longer after each failure, up to a limit', async () => {
    await play();
    const attempts: number[] = [];
    for (let i = 0; i < 9; i++) {
      const before = browser.sockets.length;
      socket().onclose?.({ code: 1006 });
      let waitedMs = 0;
      for (; browser.sockets.length === before; waitedMs += 25) await browser.pass(25);
      attempts.push(waitedMs);
    }
    expect(attempts[0]).toBeLessThanOrEqual(300);
    expect(attempts[3]).toBeGreaterThan((attempts[1] ?? 0) * 2);
    expect(Math.max(...attempts)).toBeLessThanOrEqual(8000);
  });

  it('retries at once when the network is back', async () => {
    await play();
    for (let i = 0; i < 6; i++) {
      socket().onclose?.({ code: 1006 });
      await browser.pass(8000);
    }
    socket().onclose?.({ code: 1006 });
    const before = browser.sockets.length;
    browser.page('online');
    expect(browser.sockets).toHaveLength(before + 1);
    // It is still being opened when the network changes again.
    browser.page('online');
    expect(browser.sockets).toHaveLength(before + 2);
    expect(browser.sockets.at(-2)?.closed).toBe(true);
  });

  it('checks its WebSocket when the network changes', async () => {
    await play();
    socket().answersPings = false;
    browser.page('online');
    await browser.pass(1600);
    expect(browser.sockets).toHaveLength(2);
  });

  it('detects a server that has stopped answering', async () => {
    await play();
    await browser.pass(60_000);
    expect(browser.sockets).toHaveLength(1);
    socket().answersPings = false;
    await browser.pass(30_000);
    expect(browser.sockets.length).toBeGreaterThan(1);
    expect(browser.sockets[0]?.closed).toBe(true);
  });

  it('joins without a connection if media was lost too, and fails if no server answers', async () => {
    await play();
    peer(0).flowing = false;
    socket().onclose?.({ code: 1006 });
    await browser.pass(3000);
    expect(session.state).toBe('reconnecting');
    socket().onopen?.();
    expect(socket().sent[0]).toMatchObject({ type: 'join', viewer: 'vw_12345678' });
    expect(socket().sent[0]).not.toHaveProperty('connection');
    await browser.pass(150_000);
    expect(session.state).toBe('failed');
    expect(errors.at(-1)?.code).toBe('unreachable');
    expect(browser.pendingTimers).toBe(0);
  });
});

describe('Session.setMicrophone()', () => {
  const lines = (direction: string) => `v=0\r\nm=audio 9 X 111\r\na=${direction}\r\nm=video 9 X 96\r\na=sendonly\r\n`;
  const track = (name: string) => ({ name }) as unknown as MediaStreamTrack;

  it('sends the voice on the connection that is there, and on the next one', async () => {
    socket().join();
    socket().receive(offer('conn-one', 1, lines('sendrecv')));
    await browser.pass(500);
    expect(session.canSpeak).toBe(true);
    expect(peer(0).transceiver.direction).toBe('sendrecv');
    session.setMicrophone(track('one'));
    socket().receive(offer('conn-two', 2, lines('sendrecv')));
    await browser.pass(20);
    session.setMicrophone(track('two'));
    session.setMicrophone(null);
    expect(peer(0).voices).toEqual([null, track('one'), track('two'), null]);
    expect(peer(1).voices).toEqual([track('one'), track('two'), null]);
  });

  it('sends nothing unless the host listens', async () => {
    socket().join();
    socket().receive(offer('conn-one', 1, lines('sendonly')));
    await browser.pass(500);
    session.setMicrophone(track('one'));
    expect(session.canSpeak).toBe(false);
    expect([peer(0).voices, peer(0).transceiver.direction]).toEqual([[], 'recvonly']);
  });
});

describe('Session without media', () => {
  it('requests a new connection when packets have stopped for 4 s, and displays the last frame until the new one has a frame', async () => {
    await play();
    peer(0).flowing = false;
    await browser.pass(1600);
    expect(session.state).toBe('reconnecting');
    expect(errors).toMatchObject([{ code: 'media_lost', fatal: false }]);
    await browser.pass(2200);
    expect(socket().sentOf('reconnect')).toEqual([]);
    await browser.pass(500);
    expect(socket().sentOf('reconnect')).toEqual([{ type: 'reconnect', connection: 'conn-one' }]);
    socket().receive(offer('conn-two', 1));
    await browser.pass(0);
    peer(1).decodable = false;
    await browser.pass(500);
    expect(element.shown).toEqual([peer(0).video, peer(0).audio]);
    peer(1).decodable = true;
    await browser.pass(100);
    expect(element.shown).toEqual([peer(1).video, peer(1).audio]);
    expect(peer(0).closed).toBe(true);
    expect(states).toEqual(['playing', 'reconnecting', 'playing']);
    await browser.pass(30_000);
    expect(socket().sentOf('reconnect')).toHaveLength(1);
  });

  it('requests a new connection at once when the connection has failed, even while waiting for it to recover', async () => {
    await play();
    peer(0).fail();
    expect(socket().sentOf('reconnect')).toHaveLength(1);
    expect(session.state).toBe('reconnecting');
    socket().receive(offer('conn-two', 1));
    await browser.pass(500);
    peer(1).flowing = false;
    await browser.pass(2000);
    expect(socket().sentOf('reconnect')).toHaveLength(1);
    peer(1).fail();
    expect(socket().sentOf('reconnect')).toHaveLength(2);
  });

  it('keeps the same connection after an outage of 2 s, without a request', async () => {
    await play();
    peer(0).flowing = false;
    await browser.pass(2000);
    expect(session.state).toBe('reconnecting');
    peer(0).flowing = true;
    await browser.pass(400);
    expect(session.state).toBe('playing');
    await browser.pass(15_000);
    expect(states).toEqual(['playing', 'reconnecting', 'playing']);
    expect(socket().sentOf('reconnect')).toEqual([]);
    expect(browser.peers).toHaveLength(1);
  });

  it('requests a new connection after a suspension as soon as it is known that no more packets come', async () => {
    await play();
    peer(0).flowing = false;
    browser.suspend(60_000);
    await browser.pass(300);
    expect(session.state).toBe('playing');
    socket().join();
    expect(socket().sent[0]).toMatchObject({ type: 'join', viewer: 'vw_12345678', connection: 'conn-one' });
    await browser.pass(1500);
    expect(socket().sentOf('reconnect')).toEqual([{ type: 'reconnect', connection: 'conn-one' }]);
    socket().receive(offer('conn-two', 1));
    await browser.pass(300);
    expect(states).toEqual(['playing', 'reconnecting', 'playing']);
  });

  it('plays on without a word when packets arrive after a suspension', async () => {
    await play();
    browser.suspend(8000);
    await browser.pass(10_000);
    expect(states).toEqual(['playing']);
    expect(errors).toEqual([]);
    expect(browser.sockets).toHaveLength(1);
    expect(browser.peers).toHaveLength(1);
  });

  it('does not count a suspension as time without video', async () => {
    await play();
    peer(0).flowing = false;
    await browser.pass(3000);
    browser.suspend(600_000);
    await browser.pass(1000);
    socket().join();
    await browser.pass(30_000);
    expect(session.state).toBe('reconnecting');
    await browser.pass(120_000);
    expect(session.state).toBe('failed');
  });

  it("accepts another host's offer at once, without waiting for the old connection", async () => {
    await play();
    peer(0).flowing = false;
    await browser.pass(1000);
    socket().receive(offer('conn-two', 2));
    await browser.pass(300);
    expect(element.shown).toEqual([peer(1).video, peer(1).audio]);
    await browser.pass(10_000);
    expect(socket().sentOf('reconnect')).toEqual([]);
  });

  it('pings the server once when packets stop for half a second', async () => {
    await play();
    const pings = () => socket().sentOf('ping').length;
    const before = pings();
    peer(0).flowing = false;
    await browser.pass(750);
    expect(pings()).toBe(before + 1);
    await browser.pass(2000);
    expect(pings()).toBe(before + 1);
  });

  it('detects a dead WebSocket within 2 s of the last packet, and joins for a new connection', async () => {
    await play();
    socket().answersPings = false;
    peer(0).flowing = false;
    await browser.pass(2000);
    expect(browser.sockets[0]?.closed).toBe(true);
    await browser.pass(300);
    expect(browser.sockets).toHaveLength(2);
    socket().join();
    expect(socket().sent[0]).toMatchObject({ type: 'join', viewer: 'vw_12345678', resume: 'secret-of-the-viewer' });
    expect(socket().sent[0]).not.toHaveProperty('connection');
    await browser.pass(100);
    socket().receive(offer('conn-two', 1));
    await browser.pass(300);
    expect(session.state).toBe('playing');
    await browser.pass(10_000);
    // The join was the request.
    expect(socket().sentOf('reconnect')).toEqual([]);
  });

  it('keeps the connection that recovered when only the WebSocket has to reconnect', async () => {
    await play();
    socket().answersPings = false;
    peer(0).flowing = false;
    await browser.pass(1900);
    peer(0).flowing = true;
    await browser.pass(500);
    expect(browser.sockets).toHaveLength(2);
    socket().join();
    expect(socket().sent[0]).toMatchObject({ type: 'join', connection: 'conn-one' });
    await browser.pass(10_000);
    expect(browser.peers).toHaveLength(1);
  });

  it("waits for the host's next offer when it closes its side, then requests one", async () => {
    await play();
    peer(0).flowing = false;
    socket().receive({ type: 'closed', connection: 'conn-one', reason: 'handed over' });
    expect(session.state).toBe('reconnecting');
    expect(socket().sentOf('reconnect')).toEqual([]);
    await browser.pass(5000);
    expect(socket().sentOf('reconnect')).toHaveLength(1);
  });
});

describe('Session that moves to another host', () => {
  it('switches without a gap: muted until the first frame, then in place of the old connection', async () => {
    await play();
    socket().receive(offer('conn-two', 2));
    await browser.pass(0);
    peer(1).decodable = false;
    await browser.pass(1000);
    expect(peer(1).audio.enabled).toBe(false);
    expect(element.shown).toEqual([peer(0).video, peer(0).audio]);
    expect(peer(0).closed).toBe(false);
    peer(1).decodable = true;
    await browser.pass(100);
    expect(peer(1).audio.enabled).toBe(true);
    expect(element.shown).toEqual([peer(1).video, peer(1).audio]);
    expect(peer(0).closed).toBe(true);
    expect(states).toEqual(['playing']);
  });

  it("distinguishes the new connection's tracks from the old ones, although the host gives them the same names", async () => {
    await play();
    socket().receive(
      offer('conn-two', 2, 'v=0\r\na=msid:humancast humancast-audio\r\na=msid:humancast humancast-video\r\n'),
    );
    await browser.pass(500);
    expect(peer(1).offer).toContain('a=msid:humancast conn-two.humancast-audio\r\n');
    expect(peer(1).offer).toContain('a=msid:humancast conn-two.humancast-video\r\n');
  });

  it('ignores messages of an older epoch', async () => {
    await play('conn-two', 2);
    socket().receive(offer('conn-old', 1));
    await browser.pass(500);
    expect(browser.peers).toHaveLength(1);
    expect(socket().sentOf('answer')).toHaveLength(1);
  });

  it('answers a duplicate offer only once', async () => {
    await play();
    socket().receive(offer('conn-one', 1));
    await browser.pass(500);
    expect(browser.peers).toHaveLength(1);
  });

  it('drops a connection that is being established for a newer one', async () => {
    await play();
    socket().receive(offer('conn-two', 2));
    socket().receive(offer('conn-three', 3));
    await browser.pass(500);
    expect(peer(1).closed).toBe(true);
    expect(element.shown).toEqual([peer(2).video, peer(2).audio]);
  });

  it('plays on over the old connection when the new one fails', async () => {
    await play();
    socket().receive(offer('conn-two', 2, 'nonsense'));
    await browser.pass(30_000);
    expect(peer(1).closed).toBe(true);
    expect(states).toEqual(['playing']);
  });
});

describe('Session while it plays', () => {
  it('measures and reports once a second, with the time to the first frame once', async () => {
    await play();
    await browser.pass(5000);
    const reports = socket().sentOf('report');
    expect(reports.length).toBeGreaterThanOrEqual(4);
    expect(reports.length).toBeLessThanOrEqual(6);
    expect(reports.filter(({ report }) => 'firstFrameMs' in report)).toEqual([reports[0]]);
    expect(reports[1]?.report).toMatchObject({ skewMs: 2, packetsReceived: 200, framesDecoded: expect.any(Number) });
    expect(stats.at(-1)).toMatchObject({ skewMs: 2, roundTripMs: 20, loss: 0 });
    expect(session.stats()).toEqual(stats.at(-1));
  });

  it('adds an unsent report to the next one', async () => {
    await play();
    await browser.pass(2000);
    const reports = socket().sentOf('report').length;
    expect(reports).toBeGreaterThan(0);
    socket().onclose?.({ code: 1006 });
    await browser.pass(3000);
    socket().join();
    await browser.pass(1100);
    const first = socket().sentOf('report')[0]?.report;
    expect(first?.packetsReceived).toBeGreaterThanOrEqual(600);
  });

  it('is silent from an interruption until the audio before it has played, and tells so', async () => {
    await play();
    const hushed: boolean[] = [];
    session.on('hush', (active) => hushed.push(active));
    session.interrupt();
    expect(peer(0).audio.enabled).toBe(false);
    expect(hushed).toEqual([true]);
    socket().receive(
      event({ type: 'speech.finished', seq: 1, segment: 'seg_12345678', positionMs: 1, reason: 'finished' }),
    );
    await browser.pass(550);
    expect(peer(0).audio.enabled).toBe(false);
    await browser.pass(100);
    expect(peer(0).audio.enabled).toBe(true);
    expect(hushed).toEqual([true, false]);
  });

  it('is audible again when the next speech starts, or after 1.5 s without an event', async () => {
    await play();
    session.interrupt();
    socket().receive(event({ type: 'speech.started', seq: 2, segment: 'seg_12345678' }));
    expect(peer(0).audio.enabled).toBe(true);
    session.interrupt();
    await browser.pass(1450);
    expect(peer(0).audio.enabled).toBe(false);
    await browser.pass(100);
    expect(peer(0).audio.enabled).toBe(true);
  });

  it('keeps an interruption silent across a hand-over, and changes neither volume nor muting', async () => {
    await play();
    await session.unmute();
    session.interrupt();
    socket().receive(offer('conn-two', 2));
    await browser.pass(300);
    expect(element.shown).toContain(peer(1).audio);
    expect([peer(1).audio.enabled, element.muted]).toEqual([false, false]);
    await browser.pass(1500);
    expect(peer(1).audio.enabled).toBe(true);
  });

  it('stays paused by the page through a hand-over and a hidden page, until play()', async () => {
    await play();
    session.pause();
    expect(session.state).toBe('paused');
    socket().receive(offer('conn-two', 2));
    await browser.pass(500);
    browser.page('visibilitychange');
    await session.unmute();
    await browser.pass(500);
    expect([element.paused, session.state]).toEqual([true, 'paused']);
    await session.play();
    expect(session.state).toBe('playing');
  });

  it('sends messages to producers, and emits theirs', async () => {
    expect(session.send('early')).toBe(false);
    await play();
    const received: unknown[] = [];
    session.on('message', (data) => received.push(data));
    expect(session.send({ slide: 3 })).toBe(true);
    expect(socket().sentOf('message')).toEqual([{ type: 'message', data: { slide: 3 } }]);
    socket().receive({ type: 'message', data: null });
    socket().receive({ type: 'message', data: { slide: 4 } });
    expect(received).toEqual([null, { slide: 4 }]);
  });

  it('sends an interruption only if it can be sent now', async () => {
    expect(session.interrupt()).toBe(false);
    await play();
    expect(session.interrupt()).toBe(true);
    expect(socket().sentOf('interrupt')).toHaveLength(1);
  });

  it('turns audio on if the browser allows it, and stays muted otherwise', async () => {
    await play();
    element.allowsSound = false;
    expect(await session.unmute()).toBe(false);
    expect(element.muted).toBe(true);
    element.allowsSound = true;
    expect(await session.unmute()).toBe(true);
    expect(element.muted).toBe(false);
  });

  it('ignores unknown messages', async () => {
    await play();
    for (const data of [
      '',
      '{',
      'null',
      '[]',
      '{"type":"toString"}',
      '{"type":"offer"}',
      7,
      '{"type":"offer","sdp":1}',
    ]) {
      socket().onmessage?.({ data });
    }
    await browser.pass(1000);
    expect(states).toEqual(['playing']);
    expect(browser.peers).toHaveLength(1);
  });
});

describe('Session.leave()', () => {
  it('notifies the server and frees everything, and may be called twice', async () => {
    await play();
    socket().receive(offer('conn-two', 2));
    await browser.pass(0);
    session.close();
    session.close();
    expect(socket().sentOf('leave')).toHaveLength(1);
    expect([socket().closed, peer(0).closed, peer(1).closed, element.srcObject]).toEqual([true, true, true, null]);
    expect(browser.pendingTimers).toBe(0);
    expect(states).toEqual(['playing', 'ended']);
  });

  it('leaves when the page is closed, and joins again when it is shown again', async () => {
    await play();
    browser.page('pagehide');
    expect(socket().sentOf('leave')).toHaveLength(1);
    expect(browser.pendingTimers).toBe(0);
    browser.page('pageshow');
    expect(session.state).toBe('reconnecting');
    socket().join();
    expect(socket().sent[0]).not.toHaveProperty('viewer');
    socket().receive(offer('conn-two', 1));
    await browser.pass(500);
    expect(session.state).toBe('playing');
    expect(element.shown).toEqual([peer(1).video, peer(1).audio]);
  });
});
