import type { SKRSContext2D } from '@napi-rs/canvas';
import type { MouthShape } from './mouth.js';
import type { Pose } from './pose.js';

type Context = SKRSContext2D;
type Stops = readonly (readonly [offset: number, color: string])[];

/** Side of the square in which the image is drawn, before it is scaled to the requested size. */
const DESIGN_SIZE = 640;

/** Pivot of head rotation, at the bottom of the neck. */
const NECK_PIVOT = { x: 320, y: 440 };

/** Center of the face; the parts of the head are drawn around it. */
const HEAD = { x: 320, y: 262 };

const SKIN_SHADE = '#d98f6c';
const SKIN_LINE = '#bd7152';

/**
 * Draws the character on a whole square image.
 *
 * A pure function of the pose: no state is kept between frames, so frames can be drawn in any order, and a live producer can
 * skip some.
 *
 * @param size Side of the image, pixels.
 * @param hasBackground Whether it is drawn over a background; otherwise over what the context shows.
 */
export function drawFace(ctx: Context, pose: Pose, size: number, hasBackground = true): void {
  ctx.save();
  ctx.scale(size / DESIGN_SIZE, size / DESIGN_SIZE);
  ctx.lineCap = 'round';
  ctx.lineJoin = 'round';

  if (hasBackground) drawBackground(ctx);
  // Breathing lifts the shoulders and, slightly less, the head.
  const lift = -4 * pose.breath;
  within(ctx, () => {
    placeHead(ctx, pose, lift);
    drawBackHair(ctx, pose);
  });
  drawBody(ctx, pose, lift);
  within(ctx, () => {
    placeHead(ctx, pose, lift);
    drawHead(ctx, pose);
  });
  ctx.restore();
}

function placeHead(ctx: Context, { head }: Pose, lift: number): void {
  ctx.translate(NECK_PIVOT.x + head.yaw * 3, NECK_PIVOT.y + lift * 0.8 + head.pitch * 3);
  ctx.rotate(head.tilt * 0.09);
  ctx.translate(HEAD.x - NECK_PIVOT.x, HEAD.y - NECK_PIVOT.y);
}

/** @returns The offset of a part of a turned head: the nearer to the viewer, the larger. */
function parallax({ head }: Pose, depth: number): { x: number; y: number } {
  return { x: head.yaw * 15 * depth, y: head.pitch * 12 * depth };
}

// ——— background ———

function drawBackground(ctx: Context): void {
  ctx.fillStyle = linear(ctx, 0, 0, 0, 640, [
    [0, '#fff6ee'],
    [1, '#fbe3d8'],
  ]);
  ctx.fillRect(0, 0, 640, 640);
  glow(ctx, 110, 90, 260, 'rgba(255, 214, 170, 0.55)');
  glow(ctx, 560, 560, 300, 'rgba(240, 170, 175, 0.45)');

  // Rings that spread from the speaker like sound waves.
  for (const [radius, alpha] of [
    [292, 0.34],
    [340, 0.2],
    [392, 0.11],
  ] as const) {
    circle(ctx, 320, 306, radius);
    ctx.strokeStyle = `rgba(238, 130, 110, ${alpha})`;
    ctx.lineWidth = 2;
    ctx.stroke();
  }
  circle(ctx, 320, 306, 246);
  ctx.fillStyle = linear(ctx, 150, 100, 500, 540, [
    [0, '#ffd3a5'],
    [0.55, '#fbab8f'],
    [1, '#ee8286'],
  ]);
  ctx.fill();
  glow(ctx, 250, 190, 190, 'rgba(255, 245, 225, 0.5)');
}

// ——— neck, shoulders, clothes ———

function drawBody(ctx: Context, pose: Pose, lift: number): void {
  ctx.save();
  ctx.translate(0, lift);
  const spread = pose.breath * 2;

  // The neck's top moves with the head, and its bottom stays.
  const top = parallax(pose, 0.25);
  const topX = 320 + top.x * 0.8 + pose.head.tilt * 8;
  ctx.beginPath();
  ctx.moveTo(topX - 41, 350);
  ctx.bezierCurveTo(topX - 40, 420, 284, 450, 232, 476);
  ctx.lineTo(320, 580);
  ctx.lineTo(408, 476);
  ctx.bezierCurveTo(356, 450, topX + 40, 420, topX + 41, 350);
  ctx.closePath();
  ctx.fillStyle = linear(ctx, 0, 360, 0, 560, [
    [0, '#d48a68'],
    [0.28, '#e0a07c'],
    [0.55, '#efb894'],
    [1, '#f3c3a2'],
  ]);
  ctx.fill();
  within(ctx, () => {
    ctx.clip();
    ellipse(ctx, topX + pose.head.yaw * 6, 372 + top.y, 74, 52);
    ctx.fillStyle = 'rgba(176, 92, 66, 0.32)';
    ctx.fill();
    // Collar bones.
    ctx.strokeStyle = 'rgba(190, 112, 84, 0.4)';
    ctx.lineWidth = 3;
    strokeCurve(ctx, 256, 486, 282, 482, 298, 488, 310, 498);
    strokeCurve(ctx, 384, 486, 358, 482, 342, 488, 330, 498);
  });

  // Blouse, seen between the lapels.
  ctx.beginPath();
  ctx.moveTo(236, 482);
  ctx.bezierCurveTo(262, 508, 300, 556, 320, 566);
  ctx.bezierCurveTo(340, 556, 378, 508, 404, 482);
  ctx.lineTo(430, 660);
  ctx.lineTo(210, 660);
  ctx.closePath();
  ctx.fillStyle = linear(ctx, 0, 490, 0, 640, [
    [0, '#fffaf3'],
    [1, '#ecd9cd'],
  ]);
  ctx.fill();
  drawPendant(ctx);

  // Jacket: shoulders, then lapels over them.
  for (const side of [-1, 1]) {
    within(ctx, () => {
      ctx.translate(320, 0);
      ctx.scale(side, 1);
      drawJacketHalf(ctx, side, spread);
    });
  }
  ctx.restore();
}

function drawPendant(ctx: Context): void {
  ctx.strokeStyle = 'rgba(201, 140, 60, 0.85)';
  ctx.lineWidth = 1.6;
  ctx.beginPath();
  ctx.moveTo(272, 466);
  ctx.bezierCurveTo(286, 506, 306, 524, 320, 527);
  ctx.bezierCurveTo(334, 524, 354, 506, 368, 466);
  ctx.stroke();
  circle(ctx, 320, 532, 6);
  ctx.fillStyle = radial(ctx, 318, 530, 0, 7, [
    [0, '#fff0c4'],
    [1, '#d79a3d'],
  ]);
  ctx.fill();
}

function drawJacketHalf(ctx: Context, side: number, spread: number): void {
  ctx.beginPath();
  ctx.moveTo(78, 470);
  ctx.bezierCurveTo(120, 486, 176, 494, 204, 520);
  ctx.bezierCurveTo(232 + spread, 546, 242 + spread, 596, 248 + spread, 660);
  ctx.lineTo(0, 660);
  ctx.bezierCurveTo(8, 620, 40, 560, 78, 470);
  ctx.closePath();
  // The light comes from the left of the image.
  ctx.fillStyle = linear(
    ctx,
    20,
    480,
    240,
    640,
    side < 0
      ? [
          [0, '#1c7f86'],
          [0.6, '#23949a'],
          [1, '#17686f'],
        ]
      : [
          [0, '#197078'],
          [0.6, '#1a7a82'],
          [1, '#0f525b'],
        ],
  );
  ctx.fill();
  // Fold of the sleeve.
  ctx.strokeStyle = 'rgba(7, 52, 60, 0.35)';
  ctx.lineWidth = 3;
  strokeCurve(ctx, 176, 548, 168, 580, 172, 620, 180, 660);

  ctx.beginPath();
  ctx.moveTo(80, 464);
  ctx.bezierCurveTo(104, 490, 112, 520, 110, 548);
  ctx.lineTo(84, 552);
  ctx.lineTo(98, 574);
  ctx.bezierCurveTo(70, 612, 36, 640, 2, 664);
  ctx.bezierCurveTo(16, 600, 50, 540, 80, 464);
  ctx.closePath();
  ctx.fillStyle = linear(ctx, 20, 470, 110, 640, [
    [0, side < 0 ? '#2aa3a7' : '#20868d'],
    [1, side < 0 ? '#1b7d84' : '#14656d'],
  ]);
  ctx.fill();
  ctx.strokeStyle = 'rgba(7, 52, 60, 0.3)';
  ctx.lineWidth = 1.5;
  ctx.stroke();
}

// ——— head ———

function drawHead(ctx: Context, pose: Pose): void {
  const jawDrop = pose.mouth.open * 11;
  for (const side of [-1, 1]) drawEar(ctx, pose, side);

  facePath(ctx, pose, jawDrop);
  ctx.fillStyle = linear(ctx, -90, -110, 80, 140, [
    [0, '#fbd5b6'],
    [0.5, '#f5c3a0'],
    [1, '#e3a07c'],
  ]);
  ctx.fill();

  within(ctx, () => {
    facePath(ctx, pose, jawDrop);
    ctx.clip();
    drawFaceShading(ctx, pose, jawDrop);
  });
  for (const side of [-1, 1]) {
    drawEye(ctx, pose, side);
    drawBrow(ctx, pose, side);
  }
  drawNose(ctx, pose);
  drawMouth(ctx, pose);
  drawFrontHair(ctx, pose);
}

function facePath(ctx: Context, pose: Pose, jawDrop: number): void {
  const turn = parallax(pose, 0.35);
  const chin = parallax(pose, 0.75);
  ctx.beginPath();
  ctx.moveTo(turn.x, -124);
  ctx.bezierCurveTo(62 + turn.x, -124, 95 + turn.x, -84, 95 + turn.x, -24);
  ctx.bezierCurveTo(95 + turn.x, 28, 86 + turn.x, 62 + jawDrop * 0.4, 63 + chin.x, 94 + jawDrop * 0.8);
  ctx.bezierCurveTo(46 + chin.x, 116 + jawDrop, 24 + chin.x, 129 + jawDrop + chin.y, chin.x, 129 + jawDrop + chin.y);
  ctx.bezierCurveTo(
    -24 + chin.x,
    129 + jawDrop + chin.y,
    -46 + chin.x,
    116 + jawDrop,
    -63 + chin.x,
    94 + jawDrop * 0.8,
  );
  ctx.bezierCurveTo(-86 + turn.x, 62 + jawDrop * 0.4, -95 + turn.x, 28, -95 + turn.x, -24);
  ctx.bezierCurveTo(-95 + turn.x, -84, -62 + turn.x, -124, turn.x, -124);
  ctx.closePath();
}

function drawFaceShading(ctx: Context, pose: Pose, jawDrop: number): void {
  const { x, y } = parallax(pose, 0.9);
  // The hair's shadow on the forehead and temples.
  within(ctx, () => {
    ctx.translate(4, 9);
    fringePath(ctx, pose);
    ctx.fillStyle = 'rgba(166, 84, 58, 0.24)';
    ctx.fill();
  });
  glow(ctx, -52 + x, 44 + y, 40, 'rgba(240, 112, 96, 0.36)');
  glow(ctx, 54 + x, 44 + y, 38, 'rgba(236, 104, 92, 0.34)');
  glow(ctx, -34 + x, -60 + y, 60, 'rgba(255, 240, 222, 0.5)');
  glow(ctx, x, 110 + jawDrop + y, 30, 'rgba(255, 226, 200, 0.4)');
  // The side away from the light.
  ctx.fillStyle = linear(ctx, 40, 0, 104, 20, [
    [0, 'rgba(200, 116, 84, 0)'],
    [1, 'rgba(192, 104, 76, 0.4)'],
  ]);
  ctx.fillRect(20, -130, 110, 300);
}

function drawEar(ctx: Context, pose: Pose, side: number): void {
  const { x, y } = parallax(pose, -0.3);
  within(ctx, () => {
    ctx.translate(side * 95 + x, 6 + y);
    ellipse(ctx, 0, 0, 13, 24);
    ctx.fillStyle = side < 0 ? '#f0b896' : SKIN_SHADE;
    ctx.fill();
    ctx.strokeStyle = 'rgba(180, 102, 74, 0.5)';
    ctx.lineWidth = 2;
    strokeCurve(ctx, side * 6, -12, side * 8, 0, side * 2, 8, 0, 10);
    circle(ctx, side * 2, 27, 4.5);
    ctx.fillStyle = radial(ctx, side * 2 - 1, 25.5, 0, 5, [
      [0, '#fff3d0'],
      [1, '#d79a3d'],
    ]);
    ctx.fill();
  });
}

// ——— eyes ———

function drawEye(ctx: Context, pose: Pose, side: number): void {
  const { x, y } = parallax(pose, 1);
  // Eyes narrow a little in a smile, and the upper lid follows the gaze down.
  const open = (1 - pose.blink) * (1 - 0.16 * Math.max(0, pose.smile) - 0.25 * Math.max(0, pose.gaze.y));
  within(ctx, () => {
    ctx.translate(side * 42 + x, 6 + y);
    ctx.scale(side * 1.14, 1.14);
    // From here on x grows towards the temple.
    const upperLid = mix(10, -21, open);
    const lowerLid = 12 - 2 * Math.max(0, pose.smile);
    const almond = () => {
      ctx.beginPath();
      ctx.moveTo(-21, 5);
      ctx.bezierCurveTo(-13, upperLid, 12, upperLid - 2, 23, 0);
      ctx.bezierCurveTo(14, lowerLid + 1, -10, lowerLid + 2, -21, 5);
      ctx.closePath();
    };
    within(ctx, () => {
      almond();
      ctx.clip();
      ctx.fillStyle = linear(ctx, 0, -16, 0, 12, [
        [0, '#e6d3cf'],
        [0.4, '#fffdfb'],
        [1, '#fbf1ec'],
      ]);
      ctx.fillRect(-30, -30, 60, 60);
      drawIris(ctx, side * pose.gaze.x * 7, -2 + pose.gaze.y * 5, side);
      // The lid's shadow on the eyeball.
      ctx.strokeStyle = 'rgba(70, 30, 30, 0.22)';
      ctx.lineWidth = 7;
      strokeCurve(ctx, -21, 4, -13, upperLid, 12, upperLid - 2, 23, -1);
    });

    // Lower lashes: a thin line; crease of the lid; then the upper lashes, thick and winged.
    ctx.strokeStyle = 'rgba(120, 62, 50, 0.55)';
    ctx.lineWidth = 1.6;
    strokeCurve(ctx, 22, 1, 14, lowerLid + 1, -8, lowerLid + 2, -19, 6);
    ctx.strokeStyle = 'rgba(160, 86, 64, 0.6)';
    ctx.lineWidth = 2;
    strokeCurve(ctx, -19, -5, -10, mix(-10, -24, open), 12, mix(-12, -26, open), 23, -7);
    ctx.fillStyle = '#2e1620';
    ctx.beginPath();
    ctx.moveTo(-22, 6);
    ctx.bezierCurveTo(-13, upperLid - 2, 12, upperLid - 5, 30, -6);
    ctx.bezierCurveTo(27, -1, 25, 1, 23, 2);
    ctx.bezierCurveTo(12, upperLid + 1.5, -13, upperLid + 2.5, -22, 6);
    ctx.fill();
  });
}

function drawIris(ctx: Context, x: number, y: number, side: number): void {
  circle(ctx, x, y, 12.6);
  ctx.fillStyle = radial(ctx, x, y + 3, 2, 13, [
    [0, '#a8743f'],
    [0.6, '#7a4b2a'],
    [0.92, '#4a2a1c'],
    [1, '#38201a'],
  ]);
  ctx.fill();
  circle(ctx, x, y, 5.8);
  ctx.fillStyle = '#1d0e12';
  ctx.fill();
  // Both eyes reflect the same window, to the left of the image, whichever way this eye was mirrored.
  circle(ctx, x - side * 4, y - 5, 3.6);
  ctx.fillStyle = 'rgba(255, 255, 255, 0.95)';
  ctx.fill();
  circle(ctx, x + side * 4.5, y + 5, 1.8);
  ctx.fillStyle = 'rgba(255, 240, 225, 0.7)';
  ctx.fill();
}

function drawBrow(ctx: Context, pose: Pose, side: number): void {
  const { x, y } = parallax(pose, 0.95);
  within(ctx, () => {
    ctx.translate(side * 42 + x, -32 + y - pose.brow * 7 + pose.blink * 1.5);
    ctx.scale(side, 1);
    ctx.beginPath();
    ctx.moveTo(-24, 1);
    ctx.bezierCurveTo(-9, -8, 12, -10.5, 30, 4);
    ctx.bezierCurveTo(12, -4, -7, -1.5, -23, 6.5);
    ctx.bezierCurveTo(-27, 7, -28, 3.5, -24, 1);
    ctx.fillStyle = '#6b3d40';
    ctx.fill();
  });
}

// ——— nose and mouth ———

function drawNose(ctx: Context, pose: Pose): void {
  const bridge = parallax(pose, 1.1);
  const tip = parallax(pose, 1.7);
  within(ctx, () => {
    ctx.translate(tip.x, 50 + tip.y);
    glow(ctx, 4, 2, 18, 'rgba(214, 122, 92, 0.34)');
    ctx.strokeStyle = SKIN_LINE;
    ctx.lineWidth = 2.4;
    strokeCurve(ctx, -9, 4, -6, 9, -3, 8, 0, 9);
    strokeCurve(ctx, 0, 9, 3, 8, 6, 9, 9, 4);
    ctx.strokeStyle = 'rgba(180, 102, 74, 0.5)';
    ctx.lineWidth = 2;
    strokeCurve(ctx, 13, -4, 16, 1, 14, 6, 10, 6);
    strokeCurve(ctx, -13, -4, -16, 1, -14, 6, -10, 6);
    glow(ctx, -2, -3, 8, 'rgba(255, 244, 230, 0.75)');
  });
  ctx.strokeStyle = 'rgba(200, 118, 88, 0.16)';
  ctx.lineWidth = 5;
  strokeCurve(ctx, 13 + bridge.x, 4 + bridge.y, 9 + bridge.x, 18, 9 + tip.x, 30, 11 + tip.x, 40 + tip.y);
}

function drawMouth(ctx: Context, pose: Pose): void {
  const { mouth, smile } = pose;
  const { x, y } = parallax(pose, 1.25);
  const round = Math.max(0, -mouth.width);
  const spread = Math.max(0, mouth.width);
  const halfWidth = 34 * (1 - 0.42 * round + 0.18 * spread + 0.1 * Math.max(0, smile)) * (1 - 0.08 * mouth.open);
  const gap = mouth.open * 40 * (1 - 0.25 * round);
  const corner = -5 - 4 * smile + 4 * round + gap * 0.12;
  const upperInner = -gap * 0.2;
  const lowerInner = gap * 0.98;
  const thin = 1 - 0.45 * mouth.press;
  const upperLip = 11 * thin * (1 + 0.2 * round - 0.15 * spread);
  const lowerLip = (14 * thin + 2 * round) * (1 - 0.45 * mouth.tuck);

  within(ctx, () => {
    ctx.translate(x, 84 + y);
    // Shadow under the lower lip.
    glow(ctx, 0, lowerInner * 0.78 + lowerLip + 6, 20, 'rgba(190, 100, 74, 0.3)');

    const inner = () => {
      ctx.beginPath();
      ctx.moveTo(-halfWidth * 0.9, corner);
      ctx.bezierCurveTo(-halfWidth * 0.5, upperInner - 1, -8, upperInner, 0, upperInner + 1);
      ctx.bezierCurveTo(8, upperInner, halfWidth * 0.5, upperInner - 1, halfWidth * 0.9, corner);
      ctx.bezierCurveTo(
        halfWidth * 0.62,
        lowerInner * 1.25 + 2,
        -halfWidth * 0.62,
        lowerInner * 1.25 + 2,
        -halfWidth * 0.9,
        corner,
      );
      ctx.closePath();
    };

    ctx.beginPath();
    ctx.moveTo(-halfWidth, corner);
    ctx.bezierCurveTo(
      -halfWidth * 0.62,
      upperInner - upperLip * 0.7,
      -9,
      upperInner - upperLip * 1.35,
      0,
      upperInner - upperLip * 0.75,
    );
    ctx.bezierCurveTo(
      9,
      upperInner - upperLip * 1.35,
      halfWidth * 0.62,
      upperInner - upperLip * 0.7,
      halfWidth,
      corner,
    );
    ctx.bezierCurveTo(
      halfWidth * 0.66,
      lowerInner * 1.25 + lowerLip * 1.3,
      -halfWidth * 0.66,
      lowerInner * 1.25 + lowerLip * 1.3,
      -halfWidth,
      corner,
    );
    ctx.closePath();
    ctx.fillStyle = linear(ctx, 0, upperInner - 12, 0, lowerInner + 16, [
      [0, '#b9494f'],
      [0.4, '#cf5d60'],
      [0.75, '#e27b78'],
      [1, '#cf6163'],
    ]);
    ctx.fill();
    ellipse(ctx, -3, lowerInner + lowerLip * 0.55, halfWidth * 0.34, 2.6);
    ctx.fillStyle = 'rgba(255, 214, 204, 0.5)';
    ctx.fill();

    if (gap > 1.2) {
      within(ctx, () => {
        inner();
        ctx.clip();
        drawInsideMouth(ctx, mouth, halfWidth, upperInner, lowerInner);
      });
    }
    // Where the lips meet, or the edge of the opening in shadow.
    inner();
    ctx.strokeStyle = `rgba(110, 30, 40, ${mix(0.85, 0.4, Math.min(1, gap / 8))})`;
    ctx.lineWidth = 1.8;
    ctx.stroke();
    ctx.strokeStyle = 'rgba(150, 70, 60, 0.55)';
    ctx.lineWidth = 2;
    for (const side of [-1, 1]) {
      strokeCurve(
        ctx,
        side * halfWidth * 0.96,
        corner,
        side * (halfWidth + 2),
        corner - 0.5,
        side * (halfWidth + 3),
        corner - 2,
        side * (halfWidth + 4),
        corner - 3,
      );
    }
  });
}

function drawInsideMouth(ctx: Context, mouth: MouthShape, halfWidth: number, top: number, bottom: number): void {
  ctx.fillStyle = linear(ctx, 0, top, 0, bottom + 4, [
    [0, '#4a1420'],
    [1, '#7c2633'],
  ]);
  ctx.fillRect(-60, -40, 120, 120);

  const tongueTop = mix(bottom * 0.62 + 3, top + 7, mouth.tongue);
  ellipse(ctx, 0, tongueTop + 14, halfWidth * 0.58, 14);
  ctx.fillStyle = linear(ctx, 0, tongueTop, 0, tongueTop + 22, [
    [0, '#e8837f'],
    [1, '#c25a5f'],
  ]);
  ctx.fill();

  ctx.fillStyle = linear(ctx, 0, top, 0, top + 12, [
    [0, '#e9d8d0'],
    [0.4, '#fffaf5'],
    [1, '#f6ebe4'],
  ]);
  ctx.beginPath();
  // Rounded lips come forward and cover the teeth.
  const upperTeeth = 9 + 6 * Math.min(0, mouth.width);
  ctx.roundRect(-halfWidth * 0.74, top - 8, halfWidth * 1.48, 8 + upperTeeth, 6);
  ctx.fill();
  // Lower teeth show when the lips are spread over a nearly shut jaw, as in "s".
  const lowerTeeth = Math.max(0, mouth.width) * (1 - mouth.open);
  if (lowerTeeth > 0.1) {
    ctx.fillStyle = 'rgba(244, 232, 224, 0.9)';
    ctx.beginPath();
    ctx.roundRect(-halfWidth * 0.56, bottom - 4 * lowerTeeth, halfWidth * 1.12, 12, 4);
    ctx.fill();
  }
}

// ——— hair ———

function drawBackHair(ctx: Context, pose: Pose): void {
  const { x, y } = parallax(pose, -0.45);
  within(ctx, () => {
    ctx.translate(x, y);
    ctx.beginPath();
    ctx.moveTo(0, -166);
    ctx.bezierCurveTo(92, -168, 142, -104, 138, -14);
    ctx.bezierCurveTo(136, 46, 158, 96, 146, 158);
    ctx.bezierCurveTo(140, 196, 96, 204, 60, 190);
    ctx.lineTo(-60, 190);
    ctx.bezierCurveTo(-96, 204, -140, 196, -146, 158);
    ctx.bezierCurveTo(-158, 96, -136, 46, -138, -14);
    ctx.bezierCurveTo(-142, -104, -92, -168, 0, -166);
    ctx.closePath();
    ctx.fillStyle = linear(ctx, -140, -150, 140, 200, [
      [0, '#5d3140'],
      [0.5, '#43222f'],
      [1, '#2f1722'],
    ]);
    ctx.fill();
    ctx.lineWidth = 3;
    for (const side of [-1, 1]) {
      ctx.strokeStyle = side < 0 ? 'rgba(150, 88, 92, 0.4)' : 'rgba(120, 66, 76, 0.35)';
      strokeCurve(ctx, side * 124, -10, side * 122, 60, side * 144, 110, side * 130, 168);
      strokeCurve(ctx, side * 112, 20, side * 108, 80, side * 128, 120, side * 112, 180);
      strokeCurve(ctx, side * 134, 60, side * 140, 100, side * 148, 120, side * 140, 160);
    }
  });
}

/** Both halves of the fringe, parted on the left of the image. */
function fringePath(ctx: Context, pose: Pose): void {
  const { x, y } = parallax(pose, 0.55);
  ctx.beginPath();
  ctx.moveTo(-30 + x, -156 + y);
  ctx.bezierCurveTo(56, -178, 128, -124, 124, -20);
  ctx.bezierCurveTo(122, 24, 132, 64, 114, 116);
  ctx.bezierCurveTo(104, 92, 100, 60, 99, 22);
  ctx.bezierCurveTo(100, -14 + y, 92 + x, -48 + y, 56 + x, -68 + y);
  ctx.bezierCurveTo(20 + x, -84 + y, -16 + x, -96 + y, -35 + x, -122 + y);
  ctx.bezierCurveTo(-48 + x, -92 + y, -86 + x, -72 + y, -94 + x, -16 + y);
  ctx.bezierCurveTo(-98, 20, -100, 70, -114, 118);
  ctx.bezierCurveTo(-132, 66, -122, 26, -124, -20);
  ctx.bezierCurveTo(-128, -112, -90, -158, -30 + x, -156 + y);
  ctx.closePath();
}

function drawFrontHair(ctx: Context, pose: Pose): void {
  fringePath(ctx, pose);
  ctx.fillStyle = linear(ctx, -110, -150, 120, 110, [
    [0, '#7d4450'],
    [0.35, '#61333f'],
    [1, '#3a1d29'],
  ]);
  ctx.fill();
  const { x, y } = parallax(pose, 0.55);
  within(ctx, () => {
    fringePath(ctx, pose);
    ctx.clip();
    glow(ctx, 38 + x, -128 + y, 62, 'rgba(214, 136, 122, 0.55)');
    glow(ctx, -86 + x, -96 + y, 46, 'rgba(214, 136, 122, 0.5)');
    ctx.lineWidth = 2.5;
    ctx.strokeStyle = 'rgba(200, 124, 116, 0.35)';
    strokeCurve(ctx, -26 + x, -150 + y, 40 + x, -150 + y, 96, -96, 108, -20);
    strokeCurve(ctx, -28 + x, -144 + y, 30 + x, -132 + y, 86, -96, 101, -30);
    strokeCurve(ctx, -36 + x, -150 + y, -80 + x, -130 + y, -108, -80, -110, 10);
    ctx.strokeStyle = 'rgba(40, 16, 28, 0.35)';
    strokeCurve(ctx, -28 + x, -148 + y, 34 + x, -142 + y, 104, -110, 115, 0);
    strokeCurve(ctx, -33 + x, -145 + y, -72 + x, -116 + y, -100, -74, -104, 10);
    strokeCurve(ctx, 108, -10, 108, 40, 118, 70, 113, 110);
    strokeCurve(ctx, -110, 0, -108, 40, -118, 80, -113, 112);
  });
}

// ——— helpers ———

function within(ctx: Context, draw: () => void): void {
  ctx.save();
  draw();
  ctx.restore();
}

function mix(from: number, to: number, ratio: number): number {
  return from + (to - from) * ratio;
}

function circle(ctx: Context, x: number, y: number, radius: number): void {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, Math.PI * 2);
}

function ellipse(ctx: Context, x: number, y: number, radiusX: number, radiusY: number): void {
  ctx.beginPath();
  ctx.ellipse(x, y, radiusX, radiusY, 0, 0, Math.PI * 2);
}

type Bezier = [x0: number, y0: number, x1: number, y1: number, x2: number, y2: number, x3: number, y3: number];

function strokeCurve(ctx: Context, ...[x0, y0, x1, y1, x2, y2, x3, y3]: Bezier): void {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.bezierCurveTo(x1, y1, x2, y2, x3, y3);
  ctx.stroke();
}

function linear(ctx: Context, x0: number, y0: number, x1: number, y1: number, stops: Stops) {
  const gradient = ctx.createLinearGradient(x0, y0, x1, y1);
  for (const [offset, color] of stops) gradient.addColorStop(offset, color);
  return gradient;
}

function radial(ctx: Context, x: number, y: number, inner: number, outer: number, stops: Stops) {
  const gradient = ctx.createRadialGradient(x, y, inner, x, y, outer);
  for (const [offset, color] of stops) gradient.addColorStop(offset, color);
  return gradient;
}

/** A soft spot of light, blush or shadow that fades out to nothing. */
function glow(ctx: Context, x: number, y: number, radius: number, color: string): void {
  ctx.fillStyle = radial(ctx, x, y, 0, radius, [
    [0, color],
    [1, color.replace(/[\d.]+\)$/, '0)')],
  ]);
  ctx.fillRect(x - radius, y - radius, radius * 2, radius * 2);
}
