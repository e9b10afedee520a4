import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@humancast/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Mailbox, MailSender } from '../src/mailbox/mailbox.js';
import { newId } from '../src/new-id.js';

export const letterSchema = z.object({ n: z.int() });
export type Letter = z.infer<typeof letterSchema>;

export interface MailboxHarness {
  makeMailbox(address: string): Mailbox<Letter>;
  makeSender(): MailSender<Letter>;
  /** Stops and restarts the transport, which keeps its messages. */
  restart(): Promise<void>;
  /** The reading process disappears without closing its mailbox, and its TTL expires. */
  abandon(mailbox: Mailbox<Letter>): Promise<void>;
  /** Adds something that is no message, or one of another version. */
  spoil(address: string, text: string): Promise<void>;
  /** Fails the reader's next deletions, before they are done or before they are answered. */
  loseDeletions(...when: ('before' | 'after')[]): void;
  /** Delays the reader's deletions until the returned function is called. */
  breakDeletions(): () => void;
  /** Number of stored messages, delivered or not. */
  kept(address: string): Promise<number>;
  /** Number of messages that may wait unread. */
  readonly capacity: number;
  /** Adds this many messages, faster than one by one. */
  stuff(address: string, count: number): Promise<void>;
  close(): Promise<void>;
}

/** Conformance suite of mailboxes. */
export function mailboxSuite(name: string, makeHarness: () => Promise<MailboxHarness>): void {
  describe(`${name} is a mailbox`, () => {
    let harness: MailboxHarness;
    let opened: Mailbox<Letter>[];
    beforeEach(async () => {
      harness = await makeHarness();
      opened = [];
    });
    afterEach(async () => {
      for (const mailbox of opened) await mailbox.close();
      await harness.close();
    });

    async function open(onMessage?: (letter: Letter) => void | Promise<void>) {
      const mailbox = harness.makeMailbox(newId('snd'));
      opened.push(mailbox);
      const received: number[] = [];
      await mailbox.open((letter) => {
        received.push(letter.n);
        return onMessage?.(letter);
      });
      return { mailbox, address: mailbox.address, received };
    }

    it('delivers the messages of a sender in order', async () => {
      const { address, received } = await open();
      const mail = harness.makeSender();
      for (let n = 0; n < 500; n++) expect(await mail.send(address, { n })).toBe(true);
      await until(() => received.length >= 500);
      expect(received).toEqual(Array.from({ length: 500 }, (_, n) => n));
    });

    it('delivers each message once, even to a busy reader', async () => {
      const { address, received } = await open(() => sleep(5));
      const mail = harness.makeSender();
      await Promise.all([1, 2, 3].map((n) => mail.send(address, { n })));
      await until(() => received.length >= 3);
      await mail.send(address, { n: 4 });
      await until(() => received.length >= 4);
      expect(received.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4]);
    });

    it('rejects messages without a recipient', async () => {
      expect(await harness.makeSender().send(newId('snd'), { n: 1 })).toBe(false);
    });

    it('rejects messages after it was closed, and may be closed twice', async () => {
      const { mailbox, address, received } = await open();
      await mailbox.close();
      await mailbox.close();
      expect(await harness.makeSender().send(address, { n: 1 })).toBe(false);
      expect(received).toEqual([]);
    });

    it('rejects messages to a process that is gone', async () => {
      const { mailbox, address } = await open();
      const mail = harness.makeSender();
      await harness.abandon(mailbox);
      expect(await mail.send(address, { n: 1 })).toBe(false);
    });

    it('continues after a handler threw or rejected', async () => {
      const { address, received } = await open(({ n }) => {
        if (n === 1) throw new Error('at once');
        return n === 2 ? Promise.reject(new Error('later')) : undefined;
      });
      const mail = harness.makeSender();
      for (const n of [1, 2, 3]) await mail.send(address, { n });
      await until(() => received.length >= 3);
      expect(received).toEqual([1, 2, 3]);
    });

    it('skips what is no message or of an unknown type, and ignores unknown members', async () => {
      const { address, received } = await open();
      const mail = harness.makeSender();
      await mail.send(address, { n: 1 });
      await harness.spoil(address, '{"n":"not a number"');
      await harness.spoil(address, '{"type":"viewer.paused","n":"later"}');
      await harness.spoil(address, '{"n":7,"v":2}');
      await harness.spoil(address, '{"n":2,"mood":"merry"}');
      await mail.send(address, { n: 3 });
      await until(() => received.length >= 3);
      expect(received).toEqual([1, 2, 3]);
    });

    it.each([
      ['was not done', 'before'],
      ['was done and not answered', 'after'],
    ] as const)('delivers each message once when deleting it %s', async (_, when) => {
      const { address, received } = await open();
      const mail = harness.makeSender();
      harness.loseDeletions(when, when);
      for (let n = 1; n <= 20; n++) expect(await mail.send(address, { n })).toBe(true);
      await until(() => received.length >= 20);
      await mail.send(address, { n: 21 });
      await until(() => received.length >= 21);
      expect(received).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
      await until(async () => (await harness.kept(address)) === 0);
    });

    it('delivers messages sent while deletions failed, and keeps them until they work', async () => {
      const { address, received } = await open();
      const mail = harness.makeSender();
      const mend = harness.breakDeletions();
      await mail.send(address, { n: 1 });
      await until(() => received.length >= 1);
      expect(await harness.kept(address)).toBe(1);
      await mail.send(address, { n: 2 });
      await until(() => received.length >= 2);
      expect(await harness.kept(address)).toBe(2);
      mend();
      await until(async () => (await harness.kept(address)) === 0);
      expect(received).toEqual([1, 2]);
    });

    it('keeps mailboxes apart', async () => {
      const one = await open();
      const other = await open();
      const mail = harness.makeSender();
      await mail.send(one.address, { n: 1 });
      await mail.send(other.address, { n: 2 });
      await until(() => one.received.length + other.received.length >= 2);
      expect([one.received, other.received]).toEqual([[1], [2]]);
    });

    it('continues after the transport was down', async () => {
      const { address, received } = await open();
      const mail = harness.makeSender();
      await mail.send(address, { n: 1 });
      await until(() => received.length >= 1);
      await harness.restart();
      let sent = false;
      for (let i = 0; i < 200 && !sent; i++) {
        sent = await mail.send(address, { n: 2 }).catch(() => false);
        if (!sent) await sleep(25);
      }
      expect(sent).toBe(true);
      await until(() => received.length >= 2);
      expect(received).toEqual([1, 2]);
    });

    it('rejects messages beyond its limit instead of losing the oldest', async () => {
      const { mailbox, address } = await open();
      await mailbox.close();
      await harness.stuff(address, harness.capacity);
      const mail = harness.makeSender();
      expect(await mail.send(address, { n: -1 })).toBe(false);
      const late = harness.makeMailbox(address);
      opened.push(late);
      const received: number[] = [];
      await late.open(({ n }) => void received.push(n));
      await until(() => received.length >= harness.capacity);
      expect(received).toEqual(Array.from({ length: harness.capacity }, (_, n) => n));
      expect(await mail.send(address, { n: 1 })).toBe(true);
    });
  });
}
