import type { Session, SessionState } from '@humancast/client';

/** The canvas takes the video's place; the video goes on underneath, because browsers present no frames of a hidden one. */
const STYLES = `:host{background:var(--human-cast-background,none)}
video{opacity:0}
[part~=picture-in-picture]{display:none!important}
canvas{position:absolute;inset:0;width:100%;height:100%;object-fit:contain;pointer-events:none}
.cover+canvas{object-fit:cover}
.fill+canvas{object-fit:fill}
.dim+canvas{filter:saturate(.4) brightness(.75)}`;

const VERTICES = `#version 300 es
void main(){gl_Position=vec4(gl_VertexID==1?3:-1,gl_VertexID==2?3:-1,0,1);}`;

/**
 * Takes each pixel's color from the upper half and its opacity from the lower one, where only luma counts. Browsers
 * interpolate chroma, so the last line's has some of the matte's; it is that of the line before. What is nearly transparent
 * or opaque is so, because a codec never is exact. Browsers expect premultiplied colors, and get them as they are.
 */
const FRAGMENTS = `#version 300 es
precision highp float;
uniform sampler2D picture;
out vec4 color;
const vec3 LUMA=vec3(.299,.587,.114);
void main(){
  int height=textureSize(picture,0).y/2;
  int x=int(gl_FragCoord.x),y=height-1-int(gl_FragCoord.y);
  vec3 rgb=texelFetch(picture,ivec2(x,y),0).rgb;
  if(y==height-1){
    vec3 above=texelFetch(picture,ivec2(x,y-1),0).rgb;
    rgb=above+dot(rgb-above,LUMA);
  }
  float alpha=dot(texelFetch(picture,ivec2(x,y+height),0).rgb,LUMA);
  alpha=clamp((alpha-.012)/.976,0.,1.);
  color=vec4(clamp(rgb,0.,alpha),alpha);
}`;

/** Draws a frame whose color is above its matte onto a canvas of half its height. */
type Draw = (video: HTMLVideoElement) => void;

/** Sessions whose video is drawn. */
const drawn = new WeakSet<Session>();

/**
 * Replaces what a video of color above matte looks like by a canvas with transparency, drawn whenever the browser presents a
 * frame, and not while the page is hidden.
 * @param video In a shadow tree; restored when the session is over.
 */
export function drawMatte(video: HTMLVideoElement, session: Session): void {
  video.hidden = false;
  if (drawn.has(session) || isOver(session.state)) return;
  drawn.add(session);
  const root = video.getRootNode() as ShadowRoot;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLES);
  root.adoptedStyleSheets.push(sheet);
  let canvas = newCanvas();
  video.after(canvas);
  // The picture in a window of its own would be the stacked one.
  video.disablePictureInPicture = true;

  let draw = webglOf(canvas);
  const onCpu = !draw;
  if (onCpu) {
    // A canvas keeps the kind of its first context.
    const plain = newCanvas();
    canvas.replaceWith(plain);
    canvas = plain;
    draw = cpuOf(plain);
  }
  canvas.addEventListener('webglcontextlost', (event) => {
    event.preventDefault();
    draw = undefined;
  });
  canvas.addEventListener('webglcontextrestored', () => {
    draw = webglOf(canvas);
  });

  let closed = false;
  const next = (callback: () => void) =>
    video.requestVideoFrameCallback ? video.requestVideoFrameCallback(callback) : requestAnimationFrame(callback);
  const present = () => {
    if (closed) return;
    // The CPU draws no more pixels than the screen shows.
    const shown = onCpu ? Math.min(1, (canvas.clientWidth * devicePixelRatio) / video.videoWidth) : 1;
    const [width, height] = [video.videoWidth, video.videoHeight / 2].map((side) => Math.round(side * shown)) as [
      number,
      number,
    ];
    // Firefox presents some frames of a hidden page.
    if (width > 0 && height > 0 && !document.hidden) {
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      draw?.(video);
    }
    next(present);
  };
  next(present);
  session.on('state', (state) => {
    if (!isOver(state)) return;
    closed = true;
    canvas.remove();
    root.adoptedStyleSheets = root.adoptedStyleSheets.filter((each) => each !== sheet);
    video.disablePictureInPicture = false;
  });
}

function isOver(state: SessionState): boolean {
  return state === 'ended' || state === 'failed';
}

function newCanvas(): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.part.add('canvas');
  canvas.ariaHidden = 'true';
  return canvas;
}

/** @returns `undefined` without WebGL 2, or if it has no GPU. */
function webglOf(canvas: HTMLCanvasElement): Draw | undefined {
  const gl = canvas.getContext('webgl2', {
    antialias: false,
    depth: false,
    failIfMajorPerformanceCaveat: true,
    powerPreference: 'low-power',
  });
  if (!gl) return undefined;
  const program = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, VERTICES],
    [gl.FRAGMENT_SHADER, FRAGMENTS],
  ] as const) {
    const shader = gl.createShader(type);
    if (!shader) return undefined;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  return (video) => {
    gl.viewport(0, 0, canvas.width, canvas.height);
    // The browser converts the video's matrix and range to sRGB.
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, video);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  };
}

/**
 * Does what the shader does, on the CPU. A browser that draws WebGL without a GPU takes longer. Each half is
 * scaled by itself, so that neither shows at the edge of the other.
 */
function cpuOf(canvas: HTMLCanvasElement): Draw | undefined {
  const context = canvas.getContext('2d');
  const stacked = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  if (!context || !stacked) return undefined;
  return (video) => {
    const { width, height } = canvas;
    const { videoWidth, videoHeight } = video;
    const half = 4 * width * height;
    if (stacked.canvas.width !== width || stacked.canvas.height !== 2 * height)
      Object.assign(stacked.canvas, { width, height: 2 * height });
    for (const lower of [0, 1])
      stacked.drawImage(
        video,
        0,
        (lower * videoHeight) / 2,
        videoWidth,
        videoHeight / 2,
        0,
        lower * height,
        width,
        height,
      );
    const { data } = stacked.getImageData(0, 0, width, 2 * height);
    for (let i = 0; i < half; i += 4) {
      const matte = half + i;
      const luma = (77 * (data[matte] ?? 0) + 150 * (data[matte + 1] ?? 0) + 29 * (data[matte + 2] ?? 0)) / 256;
      const alpha = Math.min(255, Math.max(0, (luma - 3) / 0.976));
      data[i + 3] = alpha;
      if (alpha === 0 || alpha === 255) continue;
      // An ImageData is not premultiplied.
      for (let c = i; c < i + 3; c++) data[c] = (255 * (data[c] ?? 0)) / alpha;
    }
    context.putImageData(new ImageData(data.subarray(0, half), width), 0, 0);
  };
}
