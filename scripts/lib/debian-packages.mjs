import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Stop, seconds, step } from './output.mjs';
import { findProgram, run } from './run.mjs';

/** Debian packages by the program, or the path of the file, that they provide. */
const PROGRAMS = /** @type {const} */ ({
  ffmpeg: 'ffmpeg',
  ffprobe: 'ffmpeg',
  'redis-server': 'redis-server',
  turnserver: 'coturn',
  chromium: 'chromium',
  'firefox-esr': 'firefox-esr',
  'espeak-ng': 'espeak-ng',
  openssl: 'openssl',
  prometheus: 'prometheus',
  promtool: 'prometheus',
  faketime: 'faketime',
  '/usr/lib/python3/dist-packages/numpy': 'python3-numpy',
  '/usr/lib/python3/dist-packages/websockets': 'python3-websockets',
  '/usr/lib/python3/dist-packages/aiortc': 'python3-aiortc',
  '/usr/lib/python3/dist-packages/gi/overrides/Gst.py': 'python3-gst-1.0',
  '/usr/lib/*/girepository-1.0/GstWebRTC-1.0.typelib': 'gir1.2-gst-plugins-bad-1.0',
  '/usr/lib/*/gstreamer-1.0/libgstnice.so': 'gstreamer1.0-nice',
  '/usr/lib/*/gstreamer-1.0/libgstwebrtc.so': 'gstreamer1.0-plugins-bad',
  '/usr/lib/*/gstreamer-1.0/libgstvpx.so': 'gstreamer1.0-plugins-good',
  '/usr/lib/python3/dist-packages/pip': 'python3-pip',
  '/usr/lib/python3/dist-packages/setuptools': 'python3-setuptools',
  '/usr/lib/python3/dist-packages/wheel': 'python3-wheel',
});

/** Packages that start a daemon when installed. */
const DAEMONS = ['redis-server', 'coturn', 'prometheus'];

/**
 * Installs missing programs if possible (Debian and derivatives, as root).
 * @param {readonly (keyof typeof PROGRAMS)[]} programs
 * @throws Stop with the command to type, or the missing programs
 */
export async function ensurePrograms(programs) {
  const missing = programs.filter((program) => !isThere(program));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => PROGRAMS[program]))];
  const advice = missingAdvice(missing, packages, { debian: isDebian(), root: process.getuid?.() === 0 });
  if (advice) throw new Stop(advice);
  const since = performance.now();
  await installPackages(packages);
  const still = missing.filter((program) => !isThere(program));
  if (still.length > 0) throw new Stop(`installed ${packages.join(', ')}, but ${still.join(', ')} is still missing`);
  step(`installed ${packages.join(', ')}`, seconds(since));
}

/** @param {string} program */
function isThere(program) {
  if (!program.startsWith('/')) return findProgram(program) !== undefined;
  const [folder = '', rest] = program.split('*');
  if (rest === undefined) return existsSync(program);
  return readdirSync(folder).some((name) => existsSync(`${folder}${name}${rest}`));
}

/**
 * @returns advice if the programs cannot be installed automatically.
 * @param {readonly string[]} missing
 * @param {readonly string[]} packages
 * @param {{ debian: boolean, root: boolean }} machine
 */
export function missingAdvice(missing, packages, { debian, root }) {
  if (!debian) return `These programs are missing on the path: ${missing.join(', ')}`;
  if (!root) {
    return `These programs are missing: ${missing.join(', ')}. Install them with\n\n    sudo apt-get update && sudo apt-get install ${packages.join(' ')}\n`;
  }
  return undefined;
}

function isDebian() {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return /^ID(_LIKE)?=.*\bdebian\b/m.test(release) && findProgram('apt-get') !== undefined;
}

/** @param {readonly string[]} packages */
async function installPackages(packages) {
  const allowDaemons = forbidDaemons();
  try {
    // Updates the package lists only if installation fails: they are missing, or too old to find the files.
    if ((await aptGet('install', packages)).code !== 0) {
      await mustSucceed(aptGet('update'), 'apt-get update');
      await mustSucceed(aptGet('install', packages), `apt-get install ${packages.join(' ')}`);
    }
    await disableDaemons(packages);
  } finally {
    allowDaemons();
  }
}

/** @param {'install' | 'update'} command @param {readonly string[]} packages */
function aptGet(command, packages = []) {
  const options = command === 'install' ? ['-y', '--no-install-recommends'] : [];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return run('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', command, ...options, ...packages], {
    env,
    quiet: true,
  });
}

/** @param {ReturnType<typeof run>} running @param {string} what */
async function mustSucceed(running, what) {
  const { code, output } = await running;
  if (code !== 0) throw new Stop(`${what} failed:\n${output.trim()}`);
}

/**
 * Debian's switch to install without starting daemons (invoke-rc.d(8)); an existing one is left alone. void} takes it away
 * again => @returns {() => void} removes it => void} takes it away again
 */
function forbidDaemons(path = '/usr/sbin/policy-rc.d') {
  if (existsSync(path)) return () => {};
  writeFileSync(path, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return () => rmSync(path, { force: true });
}

/** Disables them at boot, too. @param {readonly string[]} packages those just installed */
async function disableDaemons(packages) {
  const daemons = DAEMONS.filter((name) => packages.includes(name));
  if (daemons.length > 0 && findProgram('systemctl')) await run('systemctl', ['disable', ...daemons], { quiet: true });
}
