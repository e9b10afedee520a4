import { describe, expect, it } from 'vitest';
import { Emitter } from './emitter.js';
import { Microphone } from './microphone.js';
import type { Session, SessionEvents } from './session.js';

class FakeSession extends Emitter<SessionEvents> {
  canSpeak = true;
  voices: unknown[] = [];
  setMicrophone(track: unknown) {
    this.voices.push(track);
  }
  end() {
    this.emit('state', 'ended');
  }
}

class FakeTrack extends EventTarget {
  enabled = true;
  stopped = false;
  stop() {
    this.stopped = true;
  }
}

function scene() {
  const session = new FakeSession();
  const asked: MediaStreamConstraints[] = [];
  const tracks: FakeTrack[] = [];
  const pending: (() => void)[] = [];
  const answers = { error: undefined as string | undefined, wait: false };
  const devices = {
    getUserMedia: async (constraints: MediaStreamConstraints) => {
      asked.push(constraints);
      if (answers.error) throw new DOMException('no', answers.error);
      if (answers.wait) await new Promise<void>((resolve) => pending.push(resolve));
      const track = new FakeTrack();
      tracks.push(track);
      return { getTracks: () => [track], getAudioTracks: () => [track] } as unknown as MediaStream;
    },
  } as MediaDevices;
  const microphone = new Microphone(session as unknown as Session, devices);
  const states: string[] = [];
  microphone.on('state', (state) => states.push(state));
  return { session, microphone, asked, tracks, states, answers, pending };
}

describe('Microphone', () => {
  it('sends the voice with echo cancellation until it is stopped', async () => {
    const { session, microphone, asked, tracks, states } = scene();
    await microphone.start();
    expect(asked).toMatchObject([{ audio: { echoCancellation: true } }]);
    expect(session.voices).toEqual([tracks[0]]);
    microphone.mute();
    expect(tracks[0]?.enabled).toBe(false);
    microphone.unmute();
    microphone.stop();
    expect(session.voices).toEqual([tracks[0], null]);
    expect(tracks[0]?.stopped).toBe(true);
    expect(states).toEqual(['starting', 'on', 'muted', 'on', 'off']);
  });

  it('changes the device without a pause', async () => {
    const { session, microphone, asked, tracks, states } = scene();
    await microphone.start();
    await microphone.start('other');
    expect(asked[1]).toMatchObject({ audio: { deviceId: { exact: 'other' } } });
    expect(session.voices).toEqual([tracks[0], tracks[1]]);
    expect(tracks.map(({ stopped }) => stopped)).toEqual([true, false]);
    expect(states).toEqual(['starting', 'on']);
  });

  it('stays muted when its device is changed, or could not be changed', async () => {
    const { session, microphone, tracks, states, answers } = scene();
    await microphone.start();
    microphone.mute();
    await microphone.start('other');
    expect(tracks.map(({ enabled }) => enabled)).toEqual([false, false]);
    expect(session.voices).toEqual([tracks[0], tracks[1]]);
    answers.error = 'OverconstrainedError';
    await expect(microphone.start('gone')).rejects.toMatchObject({ code: 'no_device' });
    expect(states).toEqual(['starting', 'on', 'muted']);
    microphone.unmute();
    expect([tracks[1]?.enabled, microphone.state]).toEqual([true, 'on']);
  });

  it('releases a device that is permitted only after the microphone was stopped', async () => {
    const { session, microphone, tracks, answers, pending } = scene();
    answers.wait = true;
    const started = microphone.start();
    microphone.stop();
    pending[0]?.();
    await started;
    expect(tracks[0]?.stopped).toBe(true);
    expect(session.voices).toEqual([null]);
    expect(microphone.state).toBe('off');
  });

  it.each([
    ['NotAllowedError', 'refused'],
    ['NotFoundError', 'no_device'],
    ['OverconstrainedError', 'no_device'],
    ['NotReadableError', 'device_failed'],
  ])('tells why it does not start: %s is %s', async (name, code) => {
    const { microphone, answers } = scene();
    answers.error = name;
    await expect(microphone.start()).rejects.toMatchObject({ code });
    expect(microphone.state).toBe('off');
  });

  it('does not ask for permission if the viewer may not speak, or the page is not secure', async () => {
    const { session, microphone, asked } = scene();
    session.canSpeak = false;
    await expect(microphone.start()).rejects.toMatchObject({ code: 'not_allowed' });
    const insecure = new Microphone(new FakeSession() as unknown as Session, undefined);
    await expect(insecure.start()).rejects.toMatchObject({ code: 'insecure_page' });
    expect(asked).toEqual([]);
  });

  it('stops with the session, and when its device is unplugged', async () => {
    const one = scene();
    await one.microphone.start();
    one.session.end();
    expect([one.microphone.state, one.tracks[0]?.stopped]).toEqual(['off', true]);
    const other = scene();
    await other.microphone.start();
    other.tracks[0]?.dispatchEvent(new Event('ended'));
    expect(other.microphone.state).toBe('off');
  });
});
