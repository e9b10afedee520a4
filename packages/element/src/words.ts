/** The languages of {@link PHRASES}, in this order. */
const LANGUAGES = ['en', 'de', 'es', 'fr', 'ja', 'zh'];

/** Everything that the element says. `#` stands for a number. */
export const PHRASES = {
  label: ['Live video', 'Live-Video', 'Vídeo en directo', 'Vidéo en direct', 'ライブ映像', '实时视频'],
  connecting: ['Connecting…', 'Verbinden …', 'Conectando…', 'Connexion…', '接続中…', '正在连接…'],
  waiting: ['Number # in line', 'Warteplatz #', 'Turno #', 'Place # dans la file', '待ち順 #', '排队第 # 位'],
  stalled: ['Video stopped', 'Video steht', 'Vídeo detenido', 'Vidéo arrêtée', '映像停止', '画面已停止'],
  reconnecting: ['Reconnecting…', 'Neu verbinden …', 'Reconectando…', 'Reconnexion…', '再接続中…', '正在重新连接…'],
  play: [
    'Tap to play',
    'Zum Abspielen tippen',
    'Toca para reproducir',
    'Toucher pour lire',
    'タップして再生',
    '点按播放',
  ],
  unmute: ['Turn on sound', 'Ton an', 'Activar sonido', 'Activer le son', '音声オン', '打开声音'],
  mute: ['Sound off', 'Ton aus', 'Silenciar', 'Couper le son', '音声オフ', '关闭声音'],
  volume: ['Volume', 'Lautstärke', 'Volumen', 'Volume', '音量', '音量'],
  interrupt: ['Interrupt', 'Unterbrechen', 'Interrumpir', 'Interrompre', '話を止める', '打断'],
  pictureInPicture: ['Mini player', 'Miniplayer', 'Minirreproductor', 'Mini-lecteur', 'ミニプレーヤー', '小窗播放'],
  fullscreen: ['Full screen', 'Vollbild', 'Pantalla completa', 'Plein écran', '全画面', '全屏'],
  retry: ['Try again', 'Erneut versuchen', 'Reintentar', 'Réessayer', '再試行', '重试'],
  over: [
    'Conversation ended',
    'Gespräch beendet',
    'Conversación terminada',
    'Conversation terminée',
    '会話終了',
    '对话已结束',
  ],
  invalid: [
    'Link expired. Ask for a new one.',
    'Link abgelaufen. Bitte neuen anfordern.',
    'Enlace caducado. Pide uno nuevo.',
    'Lien expiré. Demandez-en un nouveau.',
    'リンク期限切れ。新しいリンクが必要です。',
    '链接已失效，请索取新链接',
  ],
  full: [
    'Full. Try later.',
    'Voll. Später versuchen.',
    'Lleno. Prueba más tarde.',
    'Complet. Réessayez plus tard.',
    '満員です。',
    '人数已满，请稍后',
  ],
  replaced: [
    'Playing in another window',
    'Läuft in anderem Fenster',
    'Se reproduce en otra ventana',
    'Lecture dans une autre fenêtre',
    '別のウィンドウで再生中',
    '正在另一窗口播放',
  ],
  unsupported: [
    'Try another browser',
    'Anderen Browser versuchen',
    'Prueba otro navegador',
    'Essayez un autre navigateur',
    '別のブラウザーをお試しください',
    '请换用其他浏览器',
  ],
  unreachable: [
    'No connection. Check your network.',
    'Keine Verbindung. Bitte Netz prüfen.',
    'Sin conexión. Revisa tu red.',
    'Pas de connexion. Vérifiez le réseau.',
    '接続できません。',
    '无法连接，请检查网络',
  ],
  blocked: [
    'No video. Check firewall and VPN.',
    'Kein Video. Firewall und VPN prüfen.',
    'Sin vídeo. Revisa cortafuegos y VPN.',
    'Pas de vidéo. Vérifiez pare-feu et VPN.',
    '映像なし。VPN を確認してください。',
    '没有视频，请检查防火墙和 VPN',
  ],
  failed: [
    'Something went wrong',
    'Etwas ging schief',
    'Algo salió mal',
    'Une erreur est survenue',
    '問題が発生しました',
    '出错了',
  ],
};

export type Phrase = keyof typeof PHRASES;
export type Words = (phrase: Phrase | readonly string[], number?: number) => string;

/**
 * The phrases of what is loaded on demand come with it, as rows of the same languages.
 * @param languages In order of preference, as BCP 47 tags; English if none of them is known.
 */
export function wordsIn(languages: readonly string[]): Words {
  const known = languages.map((tag) => LANGUAGES.indexOf(tag.toLowerCase().split('-')[0] ?? ''));
  const index = known.find((at) => at >= 0) ?? 0;
  return (phrase, number) =>
    ((typeof phrase === 'string' ? PHRASES[phrase] : phrase)[index] ?? '').replace('#', `${number ?? ''}`);
}

const FAILURES: Readonly<Record<string, Phrase>> = {
  unauthorized: 'invalid',
  token_expired: 'invalid',
  forbidden: 'invalid',
  session_not_found: 'over',
  session_ended: 'over',
  viewer_limit: 'full',
  replaced: 'replaced',
  no_common_codec: 'unsupported',
  unsupported: 'unsupported',
  unreachable: 'unreachable',
  no_media: 'blocked',
  bad_ice_servers: 'blocked',
};

/** @returns What to tell a viewer about a fatal error, and whether another attempt may succeed. */
export function failureOf(code: string): { phrase: Phrase; retry: boolean } {
  const phrase = FAILURES[code] ?? 'failed';
  return { phrase, retry: !['invalid', 'over', 'unsupported'].includes(phrase) };
}
