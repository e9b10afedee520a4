import { OtlpReceiver } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '../log.js';
import { segmentJobSchema } from '../messages/jobs.js';
import { Stages } from './stages.js';
import { startTracing } from './start-tracing.js';
import { traceFields, traceparentOf } from './traceparent.js';
import { NO_TRACER, type Tracer, traced } from './tracer.js';

const logger = createLogger('test', 'fatal');
const CALLER = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('Tracer with an endpoint', () => {
  let receiver: OtlpReceiver;
  beforeAll(async () => {
    receiver = await OtlpReceiver.start();
  });
  afterAll(() => receiver.stop());

  /** @returns What the tracer sends for these calls. */
  async function sent(work: (tracer: Tracer) => Promise<unknown> | unknown, share = 1) {
    receiver.spans.length = 0;
    const tracing = await startTracing('signaling', { endpoint: receiver.url, tracesEndpoint: '', share }, logger);
    await work(tracing.tracer);
    await tracing.close();
    return receiver.spans;
  }

  it('nests the spans of a trace, also under a caller of another process', async () => {
    const spans = await sent((tracer) => {
      const outer = tracer.start('outer', { parent: CALLER, attributes: { session: 'ses_1', viewer: undefined } });
      tracer.start('inner', { parent: outer.traceparent }).end();
      outer.end();
    });
    const [inner, outer] = spans;
    expect(outer).toMatchObject({ service: 'signaling', name: 'outer', parentSpanId: 'b7ad6b7169203331' });
    expect(outer?.attributes).toEqual({ session: 'ses_1' });
    expect(inner).toMatchObject({ name: 'inner', parentSpanId: outer?.spanId });
    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set(['0af7651916cd43dd8448eb211c80319c']));
  });

  it('keeps a start time before the process began', async () => {
    const [span] = await sent((tracer) => tracer.start('old', { startMs: 1_000_000.5 }).end({ atMs: 1_000_750 }));
    expect(span).toMatchObject({ startMs: 1_000_000.5, endMs: 1_000_750 });
  });

  it('ends a failed span once, with its reason', async () => {
    const [span] = await sent(async (tracer) => {
      const failing = tracer.start('failing');
      const error = Object.assign(new Error('no'), { code: 'queue_full' });
      await expect(traced(failing, () => Promise.reject(error))).rejects.toBe(error);
      failing.end();
    });
    expect(span?.error).toBe('queue_full');
  });

  it("records a share of the traces that begin here, and callers' traces as they request", async () => {
    const spans = await sent((tracer) => {
      tracer.start('begins here').end();
      tracer.start('recorded by the caller', { parent: CALLER }).end();
      tracer.start('not recorded by the caller', { parent: CALLER.replace(/01$/, '00') }).end();
    }, 0);
    expect(spans.map(({ name }) => name)).toEqual(['recorded by the caller']);
  });

  it('loses only spans when the receiver is down', async () => {
    const gone = await OtlpReceiver.start();
    const { url } = gone;
    await gone.stop();
    const tracing = await startTracing('signaling', { endpoint: url, tracesEndpoint: '', share: 1 }, logger);
    tracing.tracer.start('lost').end();
    await tracing.close();
  });

  it('orders stages one after another, whatever the order of calls and the clocks of others', async () => {
    const spans = await sent((tracer) => {
      const stages = new Stages(1000);
      stages.end('first', 1010);
      stages.end('third', 1050);
      stages.end('second', 1030);
      stages.end('first', 9999);
      stages.end('before it began', 990);
      expect(stages.has('second')).toBe(true);
      stages.record(tracer, 'whole', { parent: CALLER, attributes: { seq: 7 } });
    });
    expect(spans.map(({ name, startMs, endMs }) => [name, startMs, endMs])).toEqual([
      ['before it began', 990, 990],
      ['first', 990, 1010],
      ['second', 1010, 1030],
      ['third', 1030, 1050],
      ['whole', 1000, 1050],
    ]);
    const whole = spans.at(-1);
    expect(whole?.attributes).toEqual({ seq: 7 });
    expect(spans.slice(0, -1).every(({ parentSpanId }) => parentSpanId === whole?.spanId)).toBe(true);
  });
});

it('records and passes on nothing without an endpoint', async () => {
  const { tracer } = await startTracing('signaling', { endpoint: '', tracesEndpoint: '', share: 1 }, logger);
  expect(tracer).toBe(NO_TRACER);
  const span = tracer.start('anything', { parent: CALLER });
  expect(span.traceparent).toBeUndefined();
  expect(traceFields(span.traceparent)).toEqual({});
  expect(await traced(span, async () => 1)).toBe(1);
});

describe('traceparent', () => {
  it('may be missing in messages', () => {
    const job = { session: 'ses_abcdefgh', seq: 1, segment: 'seg_abcdefgh' };
    expect(segmentJobSchema.parse({ ...job, traceparent: CALLER })).toEqual({ ...job, traceparent: CALLER });
    expect(segmentJobSchema.parse(job)).toEqual(job);
    expect(traceFields(CALLER)).toEqual({ traceId: '0af7651916cd43dd8448eb211c80319c' });
  });

  it.each([
    undefined,
    '',
    [CALLER, CALLER],
    CALLER.toUpperCase(),
    CALLER.slice(0, -1),
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
  ])('is ignored if it is invalid: %j', (header) => {
    expect(traceparentOf(header)).toBeUndefined();
    expect(traceparentOf(CALLER)).toBe(CALLER);
  });
});
