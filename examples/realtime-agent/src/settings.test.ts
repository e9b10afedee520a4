import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { agentSettings } from './settings.js';

describe('README.md', () => {
  it('lists every setting', () => {
    const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
    const listed = [...readme.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name]) => name);
    expect(listed.sort()).toEqual(
      Object.values(agentSettings)
        .map(({ variable }) => variable)
        .sort(),
    );
  });
});
