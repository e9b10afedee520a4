import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { slugSchema } from '@humancast/protocol';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { avatarFolderOf, avatarFolders, avatarIdOf } from './avatar-folder.js';

it.each([
  ['anna', 'anna'],
  ['Anna', 'anna'],
  ['My Avatar', 'my-avatar'],
  ['Señor Müller (new)', 'senor-muller-new'],
  ['anna_2', 'anna_2'],
  ['-anna-', 'anna'],
])('avatarIdOf("%s") returns "%s"', (name, id) => expect(avatarIdOf(name)).toBe(id));

it.each(['小美', 'Анна', 'Anna 小美', '😀', '!!!', 'x'.repeat(100)])(
  'avatarIdOf("%s") adds a hash for characters that an ID cannot contain',
  (name) => {
    expect(avatarIdOf(name)).toMatch(/-[0-9a-f]{8}$/);
    expect(avatarIdOf(name.normalize('NFD'))).toBe(avatarIdOf(name.normalize('NFC')));
  },
);

it('avatarIdOf() returns a valid ID for any name', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (name) => {
      expect(slugSchema.safeParse(avatarIdOf(name)).success).toBe(true);
    }),
  );
});

it('avatarFolders() gives an ID to the folder with exactly that name, else to the first', () => {
  expect(avatarFolders(['My Avatar', 'MY AVATAR', 'Anna', 'anna'])).toEqual({
    folders: [
      { id: 'anna', name: 'anna' },
      { id: 'my-avatar', name: 'MY AVATAR' },
    ],
    taken: [
      { id: 'anna', name: 'Anna' },
      { id: 'my-avatar', name: 'My Avatar' },
    ],
  });
});

it('avatarFolderOf() finds the folder of an ID', async () => {
  const root = await mkdtemp(join(tmpdir(), 'humancast-avatar-'));
  try {
    for (const name of ['小美', 'Bob', 'ann']) await mkdir(join(root, name));
    for (const name of ['小美', 'Bob', 'ann'])
      expect(await avatarFolderOf(root, avatarIdOf(name))).toBe(join(root, name));
    expect(await avatarFolderOf(root, 'nobody')).toBe(join(root, 'nobody'));
  } finally {
    await rm(root, { recursive: true });
  }
});
