import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Humancast } from '@humancast/producer';
import { OtlpReceiver, Producer, type ReceivedSpan, type Stack, startStack, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scene } from './support/scene.ts';

const RECORD_MODULES = fileURLToPath(new URL('support/record-modules.mjs', import.meta.url));
const CALLERS_TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPEECH_STAGES = ['speech.queue', 'speech.fetch', 'speech.prefetch', 'speech.first_packet'];
const CALLER = `00-${CALLERS_TRACE}-b7ad6b7169203331-01`;

/** Real services and exporters, and a receiver in place of Jaeger or Tempo. */
describe('tracing', () => {
  let receiver: OtlpReceiver;
  let scene: Scene;
  let stack: Stack;
  let producer: Producer;
  let humancast: Humancast;
  let session: { id: string; token: string };

  beforeAll(async () => {
    receiver = await OtlpReceiver.start();
    scene = await Scene.startDemo({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
    ({ stack, producer } = scene);
    humancast = new Humancast(stack);
    await waitFor(
      'the media is loaded',
      async () => [await producer.idleCount('demo'), (await humancast.segments({ avatar: 'demo' })).length],
      ([idle = 0, segments = 0]) => idle > 0 && segments > 0,
      60_000,
    );
    session = await producer.createSession('demo');
    await scene.watch(session);
  });

  afterAll(async () => {
    await scene?.stop();
    await receiver?.stop();
  });

  /**
   * Waits for the spans of a trace, which come in batches from several processes, so that any of them may be last.
   * @param tree The expected spans, the root first.
   */
  async function expectTrace(tree: readonly string[]): Promise<Trace> {
    const names = tree.map((line) => line.split(' ').at(-1));
    const spans = await waitFor(
      `a trace with ${names.join(', ')}`,
      async () => {
        const traceId = receiver.spans.findLast((span) => span.name === names[0])?.traceId;
        return receiver.spans.filter((span) => span.traceId === traceId);
      },
      (found) => names.every((name) => found.some((span) => span.name === name)),
      30_000,
    );
    const trace = new Trace(spans);
    expect(trace.tree()).toEqual(tree);
    return trace;
  }

  it('a join is one trace, from the WebSocket through the host to the first frame', async () => {
    const trace = await expectTrace([
      'signaling join',
      '  signaling join.admit',
      '  media-sender session.host',
      '    media-sender session.lease',
      '    media-sender session.open',
      '    media-sender session.queue',
      '  media-sender viewer.connect',
      '    media-sender viewer.answer',
      '    media-sender viewer.first_packet',
      '    media-sender viewer.ice_dtls',
      '    media-sender viewer.offer',
      '  signaling viewer.first_frame',
    ]);
    expect(trace.sessions()).toEqual([session.id]);
    expect(trace.stagesOf('session.host')).toEqual(['session.queue', 'session.lease', 'session.open']);
    expect(trace.stagesOf('viewer.connect')).toEqual([
      'viewer.offer',
      'viewer.answer',
      'viewer.ice_dtls',
      'viewer.first_packet',
    ]);
    const [join, seen] = [trace.span('join'), trace.span('viewer.first_frame')];
    expect(seen.endMs).toBeLessThanOrEqual(join.endMs + 1);
    expect(Number(seen.attributes['afterMs'])).toBeGreaterThan(0);
  });

  it('a speak is one trace under the producer’s own, from the request to the first packet', async () => {
    const [segment] = await humancast.segments({ avatar: 'demo' });
    await humancast.speak(session.id, [segment?.id ?? ''], { traceparent: CALLER });
    const trace = await expectTrace([
      'signaling session.speak',
      '  media-sender speech.start',
      '    media-sender speech.fetch',
      '    media-sender speech.first_packet',
      '    media-sender speech.prefetch',
      '    media-sender speech.queue',
    ]);
    expect(trace.stagesOf('speech.start')).toEqual(SPEECH_STAGES);
    expect(trace.span('session.speak')).toMatchObject({ traceId: CALLERS_TRACE, parentSpanId: 'b7ad6b7169203331' });
    expect(trace.sessions()).toEqual([session.id]);
    expect(trace.span('speech.start').attributes).toMatchObject({ segment: segment?.id });
    await humancast.interrupt(session.id);
  });

  it('a typed text is one trace through all four services: synthesis, live push and first packet', async () => {
    await humancast.say(session.id, 'Hello there.');
    const trace = await expectTrace([
      'signaling session.say',
      '  demo-producer say.text',
      '    segment-loader live.push',
      '      segment-loader live.first_frame',
      '        segment-loader live.encode',
      '        segment-loader live.store',
      '      segment-loader live.open',
      '      media-sender speech.start',
      '        media-sender speech.fetch',
      '        media-sender speech.first_packet',
      '        media-sender speech.prefetch',
      '        media-sender speech.queue',
      '    demo-producer say.start',
      '      demo-producer say.first_frame',
      '      demo-producer say.open',
      '      demo-producer say.synthesis',
      '      demo-producer say.turn',
    ]);
    expect(trace.sessions()).toEqual([session.id]);
    expect(trace.stagesOf('live.first_frame')).toEqual(['live.encode', 'live.store']);
    expect(trace.stagesOf('speech.start')).toEqual(SPEECH_STAGES);
    // Synthesis runs while the push is opened: either may be first.
    expect(trace.stagesOf('say.start')[0]).toBe('say.turn');
    expect(trace.stagesOf('say.start').at(-1)).toBe('say.first_frame');
    expect(trace.spans.filter(({ error }) => error !== undefined)).toEqual([]);
  });

  it('a rejected request has a span with the error', async () => {
    await expect(humancast.speak(session.id, ['seg_thereIsNone1'])).rejects.toMatchObject({
      code: 'segment_not_found',
    });
    const rejected = await waitFor(
      'the rejected request',
      async () => receiver.spans.find(({ error }) => error !== undefined),
      (span) => span !== undefined,
    );
    expect(rejected).toMatchObject({ name: 'session.speak', error: 'segment_not_found' });
  });

  it('every span is documented', () => {
    const page = readFileSync(new URL('../docs/tracing.md', import.meta.url), 'utf8');
    const names = new Set(receiver.spans.map(({ name }) => name));
    expect(names.size).toBeGreaterThan(20);
    expect([...names].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  it('log lines about a session contain its id, in all services, and the trace id', async () => {
    const joined = receiver.spans.find(({ name }) => name === 'join')?.traceId;
    const lines = await waitFor(
      'lines of all services',
      async () =>
        [...stack.processes.map((process) => process.log()), ...scene.demoProducer.log().map((l) => JSON.stringify(l))]
          .join('\n')
          .split('\n')
          .filter((line) => line.includes(session.id))
          .map((line) => JSON.parse(line) as Record<string, unknown>),
      (all) => new Set(all.map(({ service }) => service)).size === 4,
    );
    const nameless = lines.filter((line) => line['session'] !== session.id);
    expect(nameless).toEqual([]);
    const ofTrace = lines.filter(({ traceId }) => traceId === joined).map(({ service, msg }) => `${service}: ${msg}`);
    expect(ofTrace).toEqual(['signaling: viewer joined', 'media-sender: viewer connected']);
    const ofCaller = lines.filter(({ traceId }) => traceId === CALLERS_TRACE).map(({ msg }) => msg);
    expect(ofCaller).toContain('segments queued');
  });
});

describe('tracing without an endpoint', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-modules-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const SDK = /@opentelemetry\/(sdk-trace|exporter-trace-otlp-http|otlp-transformer|resources)\/|otlp-tracing\.js/;

  /** The modules that the services load to serve a session. */
  async function loadedBy(env: Record<string, string>): Promise<string[]> {
    const file = join(folder, `modules-${Object.keys(env).length}`);
    const stack = await startStack({ env: { NODE_OPTIONS: `--import ${RECORD_MODULES}`, MODULES_FILE: file, ...env } });
    await stack.stop();
    return readFileSync(file, 'utf8').split('\n');
  }

  it('does not load OpenTelemetry’s SDK', async () => {
    const modules = await loadedBy({});
    for (const service of ['signaling', 'segment-loader', 'media-sender']) {
      expect(modules.some((url) => url.endsWith(`services/${service}/dist/main.js`))).toBe(true);
    }
    expect(modules.filter((url) => SDK.test(url))).toEqual([]);
  });

  it('is distinguishable: with an endpoint, the SDK is loaded', async () => {
    const modules = await loadedBy({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:9/v1/traces' });
    expect(modules.filter((url) => SDK.test(url)).length).toBeGreaterThan(3);
  });
});

class Trace {
  readonly spans: readonly ReceivedSpan[];

  constructor(spans: readonly ReceivedSpan[]) {
    this.spans = spans;
  }

  span(name: string): ReceivedSpan {
    const found = this.spans.filter((span) => span.name === name);
    expect(found, name).toHaveLength(1);
    return found[0] as ReceivedSpan;
  }

  /** The spans indented by depth, siblings by name; without the caller's span. */
  tree(): string[] {
    const known = new Set(this.spans.map(({ spanId }) => spanId));
    const under = (parent: string | undefined, indent: string): string[] =>
      this.spans
        .filter(({ parentSpanId: id = '' }) => (parent === undefined ? !known.has(id) : id === parent))

        .sort((a, b) => a.name.localeCompare(b.name))
        .flatMap((span) => [`${indent}${span.service} ${span.name}`, ...under(span.spanId, `${indent}  `)]);
    return under(undefined, '');
  }

  /** @returns the stages in order, after checking that they are contiguous and cover the whole span. */
  stagesOf(name: string): string[] {
    const whole = this.span(name);
    const children = this.spans.filter(({ parentSpanId }) => parentSpanId === whole.spanId);
    const stages = children.sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs);
    expect(stages[0]?.startMs).toBeLessThanOrEqual(whole.startMs);
    expect(stages.at(-1)?.endMs).toBe(whole.endMs);
    for (const [i, stage] of stages.slice(1).entries()) expect(stage.startMs).toBe(stages[i]?.endMs);
    // Stages of zero length have equal times, so they keep the order in which they were sent.
    return stages.map((stage) => stage.name);
  }

  sessions(): unknown[] {
    return [...new Set(this.spans.flatMap(({ attributes }) => attributes['session'] ?? []))];
  }
}
