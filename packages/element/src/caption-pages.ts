/** What a caption shows at a time. */
export interface CaptionPage {
  readonly text: string;
  /** Time for which it is said, ms. */
  readonly durationMs: number;
}

/** Limit for a caption, characters: that of a piece of a segment's text. */
const MAX_LENGTH = 500;
const MAX_DURATION_MS = 600_000;
/** Width of two lines as subtitles have them, in Latin letters. */
const PAGE_WIDTH = 84;
/** Characters as wide as two Latin letters. */
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]/g;
/** A word, or what is between two punctuation marks where a script has no spaces. */
const PART = /[^ 、。，！？；]*[ 、。，！？；]+|[^ 、。，！？；]+/g;

/**
 * Divides what is said into pages of two lines, each shown for its share of the time. A page ends between words, or anywhere in
 * a word that is longer than a page.
 * @param text Any text; what is beyond the limit is left out.
 * @param durationMs Time in which it is said, bounded here.
 * @returns No pages for blank text.
 */
export function pagesOf(text: string, durationMs: number): CaptionPage[] {
  const texts: string[] = [];
  let page = '';
  const end = () => {
    if (page.trim()) texts.push(page.trim());
    page = '';
  };
  const add = (part: string) => {
    if (widthOf((page + part).trim()) > PAGE_WIDTH) end();
    page += part;
  };
  const line = text.slice(0, MAX_LENGTH).replace(/\s+/g, ' ').trim();
  for (const part of line.match(PART) ?? []) {
    if (widthOf(part.trimEnd()) <= PAGE_WIDTH) add(part);
    else for (const character of part) add(character);
  }
  end();
  const width = texts.reduce((sum, each) => sum + widthOf(each), 0);
  const boundedMs = Math.min(Math.max(0, durationMs), MAX_DURATION_MS);
  return texts.map((each) => ({ text: each, durationMs: (widthOf(each) / width) * boundedMs }));
}

function widthOf(text: string): number {
  return text.length + (text.match(WIDE)?.length ?? 0);
}
