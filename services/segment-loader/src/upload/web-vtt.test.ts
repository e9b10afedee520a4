import { describe, expect, it } from 'vitest';
import { parseWebVtt } from './web-vtt.js';

const cue = (text: string, times = '00:01.000 --> 00:02.500') => `WEBVTT\n\n${times}\n${text}\n`;

/** @returns The code and the line that an error names. */
function errorOf(file: string): unknown {
  try {
    parseWebVtt(file);
    return undefined;
  } catch (error) {
    const { code, extra } = error as { code: string; extra: { line: number } };
    return { code, line: extra.line };
  }
}

describe('parseWebVtt()', () => {
  it('returns cues in order, without styles, notes, identifiers, settings and markup', () => {
    const file = [
      '\uFEFFWEBVTT - a title',
      'Kind: captions',
      '',
      'STYLE',
      '::cue { color: red }',
      '',
      'NOTE later',
      '',
      'second',
      '00:50:03.000 --> 00:50:04.250 align:start position:10%',
      'R&amp;D &lt;3',
      '<v Ann>costs <i>money</i></v>',
      '',
      '00:01.000\t-->\t00:02.500',
      'Hello <00:01.500>you',
      '',
      '00:05.000 --> 00:06.000',
      '<i></i>',
    ].join('\r\n');
    expect(parseWebVtt(file)).toEqual([
      { text: 'Hello you', atMs: 1000, untilMs: 2500 },
      { text: 'R&D <3 costs money', atMs: 3_003_000, untilMs: 3_004_250 },
    ]);
  });

  it.each([
    ['no header', 'Hello', 1],
    ['a header that goes on', 'WEBVTTX\n', 1],
    ['no times', 'WEBVTT\n\nid\nHello\n', 4],
    ['times of another format', cue('Hello', '00:01,000 --> 00:02,000'), 3],
    ['an end before its start', cue('Hello', '00:02.000 --> 00:01.000'), 3],
    ['too long a text', cue('a'.repeat(501)), 3],
    ['a time beyond an hour', cue('Hello', '02:00:00.000 --> 02:00:01.000'), 3],
    ['too many cues', `WEBVTT\n\n${'00:01.000 --> 00:02.000\nHello\n\n'.repeat(1001)}`, 3003],
  ])('rejects %s, and names the line', (_, file, line) => {
    expect(errorOf(file)).toEqual({ code: 'text_unreadable', line });
  });

  it('accepts a file without cues, and all line ends', () => {
    expect(parseWebVtt('WEBVTT')).toEqual([]);
    expect(parseWebVtt(cue('Hello').replaceAll('\n', '\r'))).toHaveLength(1);
  });
});
