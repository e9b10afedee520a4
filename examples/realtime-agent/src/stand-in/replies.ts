import type { History } from './history.js';

const INTRODUCTION =
  'I only stand in for a language model, so that you can try a conversation without a key. I do not understand words, but I ' +
  'hear that you speak, and I notice when you interrupt me.';

/** @returns What the stand-in says when somebody has spoken for so long. */
export function replyTo(spokenMs: number, history: History): string {
  const seconds = Math.max(1, Math.round(spokenMs / 1000));
  const heard = `You have spoken for ${seconds === 1 ? 'one second' : `${seconds} seconds`}.`;
  const last = history.items.findLast(({ role }) => role === 'assistant');
  if (!last) return `${heard} ${INTRODUCTION}`;
  if (!last.wasCut) return `${heard} I have said everything that I wanted to say. ${INTRODUCTION}`;
  if (last.text === '') return `${heard} You interrupted me before I could say anything.`;
  return `${heard} When you interrupted me, I had said: ${last.text.replace(/[,;:.]$/, '')}. You have not heard the rest.`;
}
