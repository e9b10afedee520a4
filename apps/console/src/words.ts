import type { SessionState } from '@humancast/client';

/** What went wrong, in words, and what can be done about it. */
export interface Trouble {
  title: string;
  advice: string;
  action?: 'retry' | 'restart' | 'choose';
}

const TROUBLES: Readonly<Record<string, Trouble>> = {
  unreachable: {
    title: 'The server cannot be reached',
    advice: 'Check that you are online and that humancast is running, then try again.',
    action: 'retry',
  },
  no_media: {
    title: 'No picture arrives',
    advice: 'The server answers, but its video does not get through. A firewall or VPN may be in the way.',
    action: 'retry',
  },
  unsupported: {
    title: 'This browser cannot play live video',
    advice: 'WebRTC is missing or switched off. A current Chrome, Edge, Firefox or Safari can do it.',
  },
  no_common_codec: {
    title: 'This browser cannot show the picture',
    advice: 'It lacks the video format that the avatar is encoded in. Another browser may have it.',
  },
  token_expired: {
    title: 'This link has expired',
    advice: 'Ask whoever sent it for a new one.',
    action: 'choose',
  },
  unauthorized: {
    title: 'This page may not start a conversation',
    advice: 'Public demos are switched off here, or the link is not valid. Ask for an invitation link.',
    action: 'choose',
  },
  forbidden: {
    title: 'This link does not allow that',
    advice: 'Ask whoever sent it for another one.',
    action: 'choose',
  },
  session_not_found: {
    title: 'This conversation is over',
    advice: 'You can begin a new one.',
    action: 'restart',
  },
  session_ended: { title: 'This conversation is over', advice: 'You can begin a new one.', action: 'restart' },
  viewer_limit: {
    title: 'It is full',
    advice: 'As many people as allowed are watching already. Try again later.',
    action: 'retry',
  },
  session_limit: {
    title: 'Everyone is busy',
    advice: 'As many conversations as allowed are going on. Try again in a moment.',
    action: 'retry',
  },
  rate_limited: { title: 'A little too fast', advice: 'Wait a minute, then try again.', action: 'retry' },
  replaced: {
    title: 'It goes on in another window',
    advice: 'The conversation was opened a second time, and plays there now.',
    action: 'retry',
  },
  avatar_not_found: {
    title: 'There is no such avatar',
    advice: 'The address names one that does not exist here.',
    action: 'choose',
  },
  avatar_has_no_idle: {
    title: 'This avatar is not ready',
    advice: 'It has no idle clip yet. Put one into its idle folder, then try again.',
    action: 'retry',
  },
};

export function troubleOf(code: string, message: string): Trouble {
  return (
    TROUBLES[code] ?? {
      title: 'Something went wrong',
      advice: message || 'Try again in a moment.',
      action: 'retry',
    }
  );
}

/** The same for who came by a link to somebody else's session: it can't be begun anew. */
export function troubleOfGuest(code: string, message: string): Trouble {
  const trouble = troubleOf(code, message);
  if (trouble.action !== 'restart') return trouble;
  return { title: trouble.title, advice: 'It has ended, or the link is incomplete.', action: 'choose' };
}

/** Whether media arrives, so that what is asked of the avatar will be heard. */
export function isConnected(state: SessionState): boolean {
  return state === 'playing' || state === 'stalled' || state === 'paused';
}

export function stateWords(state: SessionState, waitingPosition: number | undefined): string {
  switch (state) {
    case 'connecting':
      return 'Connecting';
    case 'waiting':
      return waitingPosition === undefined ? 'Waiting' : `Number ${waitingPosition} in line`;
    case 'playing':
      return 'Live';
    case 'stalled':
      return 'Video stopped';
    case 'paused':
      return 'Paused';
    case 'reconnecting':
      return 'Reconnecting';
    case 'ended':
      return 'Ended';
    case 'failed':
      return 'Not connected';
  }
}
