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
])('avatarIdOf("%s") is "%s"', (name, id) => expect(avatarIdOf(name)).toBe(id));

it.each(['小美', 'Анна', 'Anna 小美', '😀', '!!!', 'x'.repeat(100)])(
  'avatarIdOf("%s") has a hash of what an id cannot say',
  (name) => {
    expect(avatarIdOf(name)).toMatch(/-[0-9a-f]{8}$/);
    expect(avatarIdOf(name.normalize('NFD'))).toBe(avatarIdOf(name.normalize('NFC')));
  },
);

it('avatarIdOf() makes an id of any name', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (name) => {
      expect(slugSchema.safeParse(avatarIdOf(name)).success).toBe(true);
    }),
  );
});

it('avatarFolders() gives an id to the folder of that very name, else to the first', () => {
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

it('avatarFolderOf() finds the folder of an id again', async () => {
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
