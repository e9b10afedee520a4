import { type ConfigOf, setting, signalingSettings } from '@humancast/shared';

/** Settings of the agent; README.md lists them, and a test checks that it does. */
export const agentSettings = {
  logLevel: signalingSettings.logLevel,
  /** The first key that is not a hash authenticates to signaling and segment-loader. */
  apiKeys: signalingSettings.apiKeys,
  signalingUrl: setting.url('SIGNALING_URL', ['http', 'https'], 'http://127.0.0.1:8080', 'URL of signaling'),
  loaderUrl: setting.url('LOADER_URL', ['http', 'https'], 'http://127.0.0.1:8081', 'URL of segment-loader'),
  avatar: setting.string('AGENT_AVATAR', 'demo', 'Avatar that speaks; its idle clips should show the drawn face'),
  pictureSize: setting.int('AGENT_PICTURE_SIZE', [160, 1280], 640, 'Width and height of the video, pixels'),
  realtimeUrl: setting.url(
    'REALTIME_URL',
    ['wss', 'ws'],
    'wss://api.openai.com/v1/realtime?model=gpt-realtime',
    'WebSocket of the Realtime API, with the model',
  ),
  realtimeKey: setting.secret('OPENAI_API_KEY', 'Key of the Realtime API; not needed for the stand-in', true),
  realtimeVoice: setting.string('REALTIME_VOICE', 'marin', 'Voice of the Realtime API'),
  instructions: setting.string(
    'AGENT_INSTRUCTIONS',
    'You are a friendly person in a video call. Answer in one to three short spoken sentences.',
    'What the model is told to be',
  ),
};
export type AgentConfig = ConfigOf<typeof agentSettings>;
