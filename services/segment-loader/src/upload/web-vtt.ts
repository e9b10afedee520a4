import { TEXT_CUES_LIMIT, type TextCue, textCueSchema } from '@humancast/protocol';
import { describeIssues, HumancastError } from '@humancast/shared';

const TIME = String.raw`(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})`;
const TIMING = new RegExp(String.raw`^${TIME}[ \t]+-->[ \t]+${TIME}(?:[ \t]+.*)?$`);
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', nbsp: ' ', lrm: '', rlm: '' };

/**
 * Parses WebVTT (W3C). Styles, regions, notes, settings and markup are left out; the words within timestamps of a cue are one cue.
 * @returns The cues in the order of their starts.
 * @throws HumancastError `text_unreadable`, which names the line.
 */
export function parseWebVtt(file: string): TextCue[] {
  const lines = file.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  if (!/^WEBVTT(?:[ \t].*)?$/.test(lines[0] ?? '')) throw unreadable(0, 'the file must begin with "WEBVTT"');
  const cues: TextCue[] = [];
  for (const { at, block } of blocksOf(lines)) {
    if (/^(?:NOTE|STYLE|REGION)(?:[ \t]|$)/.test(block[0] ?? '')) continue;
    // A cue may have an identifier above its times.
    const skipped = block[0]?.includes('-->') ? 0 : 1;
    const times = TIMING.exec(block[skipped] ?? '');
    if (!times) throw unreadable(at + skipped, 'a cue must have a line such as "00:01.000 --> 00:02.500"');
    const text = plainText(block.slice(skipped + 1).join(' '));
    if (text === '') continue;
    const cue = textCueSchema.safeParse({ text, atMs: msOf(times, 1), untilMs: msOf(times, 5) });
    if (!cue.success) throw unreadable(at + skipped, describeIssues(cue.error));
    if (cue.data.untilMs <= cue.data.atMs) throw unreadable(at + skipped, 'a cue must end after it begins');
    if (cues.length >= TEXT_CUES_LIMIT) throw unreadable(at, `there are more than ${TEXT_CUES_LIMIT} cues`);
    cues.push(cue.data);
  }
  return cues.sort((a, b) => a.atMs - b.atMs);
}

/** Splits at empty lines, after the header. */
function* blocksOf(lines: readonly string[]): Generator<{ at: number; block: string[] }> {
  let block: string[] = [];
  let isHeader = true;
  for (const [index, line] of [...lines, ''].entries()) {
    if (line.trim() !== '') {
      block.push(line);
      continue;
    }
    if (block.length > 0 && !isHeader) yield { at: index - block.length, block };
    block = [];
    isHeader = false;
  }
}

function plainText(payload: string): string {
  return payload
    .replace(/<[^>]*>/g, '')
    .replace(/&(\w+);/g, (entity, name: string) => ENTITIES[name] ?? entity)
    .replace(/\s+/g, ' ')
    .trim();
}

/** @param first Number of the group with the hours. */
function msOf(groups: RegExpExecArray, first: number): number {
  const [hours = 0, minutes = 0, seconds = 0, ms = 0] = [0, 1, 2, 3].map((i) => Number(groups[first + i] ?? 0));
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
}

function unreadable(index: number, problem: string): HumancastError {
  return new HumancastError('text_unreadable', {
    detail: `part "text", line ${index + 1}: ${problem}`,
    extra: { line: index + 1 },
  });
}
