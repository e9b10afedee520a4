import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeTestClip, Producer, type Stack, startStack, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('uploaded segment', () => {
  let stack: Stack;
  let producer: Producer;
  beforeAll(async () => {
    stack = await startStack({ turn: false });
    producer = new Producer(stack);
    makeTestClip(join(stack.mediaDir, 'lights/idle/red.mp4'), { color: 'red', seconds: 2 });
    makeTestClip(join(stack.mediaDir, '../green.mp4'), { color: 'green', seconds: 2 });
    await producer.idleLoaded('lights');
  });
  afterAll(() => stack?.stop());

  it('can still be spoken after redis-media has restarted empty', async () => {
    const file = await readFile(join(stack.mediaDir, '../green.mp4'));
    const { id } = await producer.upload('lights', 'green.mp4', file);
    await stack.redisMedia.restart();
    const url = `${stack.loaderUrl}/v1/segments/${id}`;
    await waitFor(
      'the segment is restored',
      async () => (await producer.request('GET', url)).status,
      (status) => status === 200,
    );
    await producer.idleLoaded('lights');
    const session = await producer.createSession('lights');
    const speak = producer.signaling(`/v1/sessions/${session.id}/speak`);
    const { queued } = await producer.json<{ queued: { segment: string }[] }>('POST', speak, { segments: [id] });
    expect(queued).toMatchObject([{ segment: id }]);
  });
});
