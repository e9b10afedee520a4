import type { SessionState } from '@humancast/client';

/** An error in plain words, and the action that may resolve it. */
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
    title: 'No video arrives',
    advice: 'The server answers, but its video does not get through. A firewall or VPN may block it.',
    action: 'retry',
  },
  unsupported: {
    title: 'This browser cannot play live video',
    advice: 'WebRTC is missing or disabled. Use a current Chrome, Edge, Firefox or Safari.',
  },
  no_common_codec: {
    title: 'This browser cannot play the video',
    advice: 'It does not support the avatar’s video format. Another browser may.',
  },
  token_expired: {
    title: 'This link has expired',
    advice: 'Ask the sender for a new one.',
    action: 'choose',
  },
  unauthorized: {
    title: 'This page may not start a conversation',
    advice: 'Public demos are disabled here, or the link is invalid. Ask for an invitation link.',
    action: 'choose',
  },
  forbidden: {
    title: 'This link does not allow that',
    advice: 'Ask the sender for another one.',
    action: 'choose',
  },
  session_not_found: {
    title: 'This conversation is over',
    advice: 'You can start a new one.',
    action: 'restart',
  },
  session_ended: { title: 'This conversation is over', advice: 'You can start a new one.', action: 'restart' },
  viewer_limit: {
    title: 'No room for another viewer',
    advice: 'This conversation has reached its viewer limit. Try again later.',
    action: 'retry',
  },
  session_limit: {
    title: 'Everyone is busy',
    advice: 'The limit of conversations is reached. Try again in a moment.',
    action: 'retry',
  },
  rate_limited: { title: 'Too many requests', advice: 'Wait a minute, then try again.', action: 'retry' },
  replaced: {
    title: 'Playing in another window',
    advice: 'This conversation was opened in another window and plays there now.',
    action: 'retry',
  },
  avatar_not_found: {
    title: 'Avatar not found',
    advice: 'The address names an avatar that does not exist here.',
    action: 'choose',
  },
  avatar_has_no_idle: {
    title: 'This avatar is not ready',
    advice: 'It has no idle clip yet. Put a video into its idle folder, then try again.',
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

/** The same for a guest with a link to someone else's session, who cannot start a new one. */
export function troubleOfGuest(code: string, message: string): Trouble {
  const trouble = troubleOf(code, message);
  if (trouble.action !== 'restart') return trouble;
  return { title: trouble.title, advice: 'The conversation has ended, or the link is incomplete.', action: 'choose' };
}

/** Whether media arrives, so that speech will be audible. */
export function isConnected(state: SessionState): boolean {
  return state === 'playing' || state === 'stalled' || state === 'paused';
}

/** Formats a bitrate in Mb/s. */
export function megabits(bps: number | undefined): string {
  return bps === undefined ? '–' : (bps / 1e6).toFixed(1);
}
