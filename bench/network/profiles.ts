/** Profiles of the path to the viewer, one per line; times count from the first video. */
export interface Profile {
  readonly name: string;
  /** As the test kit's impairment relay reads it. */
  readonly line: string;
  /** How the viewer reaches its TURN server. Default: UDP. */
  readonly transport?: 'tcp';
  readonly seconds: number;
  /** The measured interval, seconds from the first video. */
  readonly from: number;
  /** Name of its plot, for those that the docs show. */
  readonly plot?: string;
}

const STEADY = { from: 5 };

// biome-ignore format: one profile per line
export const PROFILES: readonly Profile[] = [
  { name: 'good path', line: 'delay=10ms', seconds: 15, ...STEADY },
  { name: '5 % loss, 50 ms', line: 'loss=5% delay=25ms', seconds: 30, ...STEADY },
  { name: '10 % loss, 100 ms', line: 'loss=10% delay=50ms', seconds: 30, ...STEADY, plot: 'loss' },
  { name: '2 % loss, 300 ms', line: 'loss=2% delay=150ms', seconds: 25, ...STEADY },
  { name: 'bursts of loss, 50 ms', line: 'burst=1%/30%/60% delay=25ms', seconds: 30, ...STEADY },
  { name: 'jitter of 30 ms', line: 'delay=25ms jitter=30ms', seconds: 25, ...STEADY },
  { name: '5 to 0.5 Mb/s', line: 'rate=5M queue=300ms delay=25ms; 8s rate=0.5M', seconds: 38, from: 8, plot: 'narrow' },
  { name: '0.5 to 5 Mb/s', line: 'rate=0.5M queue=300ms delay=25ms; 10s rate=5M', seconds: 30, from: 10 },
  { name: '5 to 0.25 Mb/s', line: 'rate=5M queue=300ms delay=25ms; 8s rate=0.25M', seconds: 33, from: 8 },
  { name: '2 % loss, 50 ms, over TCP', line: 'loss=2% delay=25ms', transport: 'tcp', seconds: 25, ...STEADY },
  { name: '2 s black-out', line: 'delay=25ms; 8s dead; 10s alive', seconds: 20, from: 8, plot: 'blackout' },
];
