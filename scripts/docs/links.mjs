// Checks that links between pages of the repository, and to their headings, have a target.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { runMain, Stop } from '../lib/output.mjs';
import { ROOT } from '../lib/run.mjs';

const SKIPPED = new Set(['node_modules', 'dist', '.git', '.humancast']);

runMain(async () => {
  const pages = markdownFiles(ROOT);
  const broken = pages.flatMap((page) =>
    linksOf(page)
      .filter((link) => !leadsSomewhere(page, link))
      .map((link) => `${relative(ROOT, page)}: ${link}`),
  );
  if (pages.length === 0) throw new Stop('there are no pages');
  if (broken.length > 0) throw new Stop(`these links lead nowhere:\n  ${broken.join('\n  ')}`);
});

/** @param {string} folder @returns {string[]} */
function markdownFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return markdownFiles(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

/** @returns the targets of links and images, without those in code. @param {string} page */
function linksOf(page) {
  const text = readFileSync(page, 'utf8').replaceAll(/```[\s\S]*?```|`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '').filter((link) => !/^[a-z]+:/.test(link));
}

/** @param {string} page @param {string} link */
function leadsSomewhere(page, link) {
  const [path = '', heading] = link.split('#');
  const target = path === '' ? page : join(dirname(page), decodeURIComponent(path));
  if (!existsSync(target)) return false;
  return heading === undefined || !target.endsWith('.md') || headingsOf(target).includes(heading);
}

/** @returns the headings' anchors, as GitHub makes them. @param {string} page */
function headingsOf(page) {
  const lines = readFileSync(page, 'utf8').split('\n');
  const headings = lines.filter((line) => /^#{1,6} /.test(line)).map((line) => line.replace(/^#+ /, ''));
  const anchors = headings.map((text) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  const explicit = lines.flatMap((line) =>
    [...line.matchAll(/<a (?:id|name)="([^"]+)"/g)].map((match) => match[1] ?? ''),
  );
  return [...anchors, ...explicit];
}
