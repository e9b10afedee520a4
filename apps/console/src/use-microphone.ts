import { Microphone, MicrophoneError, type MicrophoneState, type Session } from '@humancast/client';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

const LEVEL_MS = 50;
/** Level of a quiet room, and of a loud voice, dBFS. */
const [QUIET_DB, LOUD_DB] = [-60, -10];

export interface MicrophoneView {
  readonly state: MicrophoneState;
  /** Why it could not be started, for the viewer. */
  readonly problem: string | undefined;
  readonly devices: readonly MediaDeviceInfo[];
  /** From 0 to 1. */
  readonly level: number;
}

export interface MicrophoneControls {
  /** Opens it, or changes its device. Call it from a click or key handler. */
  open(deviceId?: string): Promise<void>;
  mute(): void;
  close(): void;
}

/** The microphone of a viewer in a session. */
export function useMicrophone(session: Session): [MicrophoneView, MicrophoneControls] {
  const microphone = useRef<Microphone | undefined>(undefined);
  const [state, setState] = useState<MicrophoneState>('off');
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [devices, setDevices] = useState<readonly MediaDeviceInfo[]>([]);
  const level = useLevel(state === 'on' ? microphone.current?.stream : undefined);

  useEffect(() => {
    const current = new Microphone(session);
    microphone.current = current;
    setState('off');
    current.on('state', setState);
    return () => current.stop();
  }, [session]);

  const open = useCallback(async (deviceId?: string) => {
    setProblem(undefined);
    const current = microphone.current;
    try {
      if (current?.state === 'muted' && deviceId === undefined) current.unmute();
      else await current?.start(deviceId);
      // Their names are known only with permission.
      const all = await navigator.mediaDevices.enumerateDevices();
      setDevices(all.filter(({ kind }) => kind === 'audioinput'));
    } catch (error) {
      setProblem(error instanceof MicrophoneError ? error.message : 'The microphone could not be started.');
    }
  }, []);
  const mute = useCallback(() => microphone.current?.mute(), []);
  const close = useCallback(() => microphone.current?.stop(), []);
  return [
    { state, problem, devices, level },
    { open, mute, close },
  ];
}

function useLevel(stream: MediaStream | undefined): number {
  const [level, setLevel] = useState(0);
  useEffect(() => {
    if (!stream) {
      setLevel(0);
      return;
    }
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 1024 });
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      const db = 10 * Math.log10(power + 1e-9);
      setLevel(Math.min(1, Math.max(0, (db - QUIET_DB) / (LOUD_DB - QUIET_DB))));
    }, LEVEL_MS);
    return () => {
      clearInterval(timer);
      void context.close();
    };
  }, [stream]);
  return level;
}
