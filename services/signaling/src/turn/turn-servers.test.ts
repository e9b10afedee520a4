import { describe, expect, it } from 'vitest';
import { groupByHost, serverOf, turnServers } from './turn-servers.js';

const fleet = (count: number) => groupByHost(Array.from({ length: count }, (_, i) => `turn:turn${i}.example`));
const viewers = Array.from({ length: 3000 }, (_, i) => `vw_${i}`);

describe('groupByHost', () => {
  it('groups the URLs of one server', () => {
    const urls = [
      'turn:a.example:3478?transport=udp',
      'turn:[2001:db8::1]:3478',
      'turns:A.example:443?transport=tcp',
      'turn:b.example',
      'turns:[2001:db8::1]?transport=tcp',
    ];
    expect(groupByHost(urls)).toEqual([[urls[0], urls[2]], [urls[1], urls[4]], [urls[3]]]);
  });
});

describe('turnServers', () => {
  const loopback = ['turn:127.0.0.1:3478?transport=udp', 'turn:localhost:3478?transport=tcp', 'turn:[::1]:3478'];
  const local = ['turn:172.30.240.10:3478?transport=udp'];

  it('adds the local URLs to a server that is on loopback only', () => {
    expect(turnServers(loopback, local)).toEqual([[...loopback, ...local]]);
  });

  it('keeps servers on several loopback addresses apart without local URLs', () => {
    expect(turnServers(['turn:127.0.0.1:3478', 'turn:127.0.0.2:3478'], [])).toHaveLength(2);
  });

  it('omits the local URLs if any URL is not on loopback', () => {
    expect(turnServers([...loopback, 'turn:turn.example'], local).flat()).not.toContain(local[0]);
    expect(turnServers(['turn:127.example'], local)).toEqual([['turn:127.example']]);
    expect(turnServers([], local)).toEqual([]);
  });
});

describe('serverOf', () => {
  it('returns the same server for any order of the list', () => {
    const servers = fleet(5);
    for (const viewer of viewers.slice(0, 100)) {
      expect(serverOf(viewer, servers.toReversed())).toEqual(serverOf(viewer, servers));
    }
  });

  it('distributes viewers evenly', () => {
    const servers = fleet(3);
    for (const server of servers) {
      const share = viewers.filter((viewer) => serverOf(viewer, servers) === server).length / viewers.length;
      expect(share).toBeGreaterThan(0.28);
      expect(share).toBeLessThan(0.39);
    }
  });

  it('moves only the viewers of a removed server', () => {
    const servers = fleet(4);
    const [gone, ...left] = servers;
    for (const viewer of viewers) {
      const before = serverOf(viewer, servers);
      if (before !== gone) expect(serverOf(viewer, left)).toBe(before);
    }
  });

  it('returns another server after each failure, until all have been tried', () => {
    const servers = fleet(4);
    for (const viewer of viewers.slice(0, 100)) {
      const tried = [0, 1, 2, 3].map((failures) => serverOf(viewer, servers, failures));
      expect(new Set(tried)).toEqual(new Set(servers));
      expect(serverOf(viewer, servers, 4)).toBe(tried[0]);
    }
  });

  it('distributes the viewers of a failed server over the others', () => {
    const [failed, ...others] = fleet(3);
    const servers = failed ? [failed, ...others] : others;
    const moved = viewers.filter((viewer) => serverOf(viewer, servers) === failed);
    for (const server of others) {
      const share = moved.filter((viewer) => serverOf(viewer, servers, 1) === server).length / moved.length;
      expect(share).toBeGreaterThan(0.43);
      expect(share).toBeLessThan(0.57);
    }
  });

  it('returns undefined for an empty list', () => {
    expect(serverOf('vw_1', [])).toBeUndefined();
  });
});
