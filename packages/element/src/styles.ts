/** Whatever a page may change has a part or a custom property; a page's own rules for the element come before `:host`. */
export const STYLES =
  ':host{display:block;position:relative;overflow:hidden;contain:content;container-type:inline-size;' +
  'aspect-ratio:16/9;background:var(--human-cast-background,#000);color:#fff;' +
  'font:550 14px/1.4 var(--human-cast-font,system-ui,sans-serif)}' +
  ':host([transparent]){background:var(--human-cast-background,none)}' +
  ':host([hidden]),[hidden]{display:none!important}' +
  'video,img,.over{position:absolute;inset:0;width:100%;height:100%;box-sizing:border-box}' +
  'img{object-fit:contain;transition:opacity .2s}' +
  '.cover{object-fit:cover}' +
  '.fill{object-fit:fill}' +
  '.gone{opacity:0}' +
  '.dim{filter:saturate(.4) brightness(.75)}' +
  '.over{display:grid;place-content:center;justify-items:center;gap:12px;padding:20px;text-align:center}' +
  'p{margin:0}' +
  'p:not(:empty){padding:6px 14px}' +
  'p,button,.volume{border-radius:21px;background:rgb(15 16 18/.72)}' +
  'button,.volume{display:inline-flex;place-content:center;align-items:center;gap:8px;min-width:42px;height:42px;padding:0 12px;' +
  'border:0;color:inherit;font:inherit;white-space:nowrap}' +
  'button{cursor:pointer}' +
  '.call{padding:0 20px 0 16px;background:#fff;color:#16181a}' +
  ':focus-visible{outline:2px solid #fff;outline-offset:2px;box-shadow:0 0 0 4px #16181a}' +
  'svg{width:18px;fill:none;stroke:currentcolor;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}' +
  '.spinner{width:34px;height:34px;box-sizing:border-box;border-radius:50%;border:3px solid rgb(15 16 18/.5);' +
  'border-top-color:var(--human-cast-accent,#fff);animation:turn .9s linear infinite}' +
  '.bar{position:absolute;inset:auto 16px 16px;display:flex;gap:8px}' +
  '.gap{flex:1}' +
  '.bar,.over{pointer-events:none}' +
  'button,.volume,::slotted(*){pointer-events:auto}' +
  'input{width:80px;margin:0;accent-color:var(--human-cast-accent,#fff)}' +
  '.bottom{position:absolute;inset:auto auto 16px 50%;translate:-50%}' +
  '@container (width<420px){.volume,.bar button span{display:none}}' +
  '@container (width<760px){.bottom{bottom:68px}}' +
  '@keyframes turn{to{rotate:1turn}}' +
  '@media (prefers-reduced-motion:reduce){.spinner{animation:none;border-color:#fff}img{transition:none}}';
