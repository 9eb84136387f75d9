// The layout editor's style, in the colours of the editor's theme.
export const STYLE = `
  dialog.storefront-arrange { position: fixed; inset: 0; width: 100vw; height: 100dvh; max-width: none; max-height: none; margin: 0;
    padding: 0; border: 0; display: none; flex-direction: column; font: 14px/1.4 system-ui, sans-serif; color: #eee; background: #1b1c1f;
    color-scheme: dark }
  dialog.storefront-arrange[open] { display: flex }
  .storefront-arrange [hidden] { display: none !important }
  .storefront-arrange header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; padding: 8px 12px; background: #26282c }
  .storefront-arrange h2 { margin: 0 12px 0 0; font-size: 16px }
  .storefront-arrange .status { flex: 1; min-width: 120px; font-size: 13px; color: #c8cad0 }
  .storefront-arrange input[type=button]:not(.grip) { min-height: 36px; padding: 0 14px; border: 1px solid #50535a; border-radius: 8px;
    background: #33363c; color: #fff; font: inherit; cursor: pointer }
  .storefront-arrange input[type=button]:not(.grip):hover { background: #41454c }
  .storefront-arrange input[type=button]:not(.grip):disabled { color: #9a9da5; cursor: default; background: #2b2d32 }
  .storefront-arrange input[type=button].primary { background: #0a6ec2; border-color: #0a6ec2 }
  .storefront-arrange input[type=button].primary:hover { background: #0b7cd9 }
  .storefront-arrange :focus-visible { outline: 2px solid #6cc1ff; outline-offset: 2px }
  .storefront-arrange .body { flex: 1; min-height: 0; display: flex }
  .storefront-arrange .stage { position: relative; flex: 1; min-width: 0; overflow: hidden; display: flex; align-items: center;
    justify-content: center; touch-action: none }
  .storefront-arrange .paper { position: relative; flex: none; box-shadow: 0 4px 30px #000a; user-select: none }
  .storefront-arrange .example { margin: 0; display: flex; flex-direction: column; align-items: center; gap: 8px; max-width: 90%; max-height: 90% }
  .storefront-arrange .example img { min-height: 0; max-width: 100%; opacity: .55; border-radius: 6px }
  .storefront-arrange .view { inset: 0; overflow: hidden; isolation: isolate }
  .storefront-arrange .paper > *, .storefront-arrange .view > * { position: absolute; left: 0; top: 0 }
  .storefront-arrange .background { width: 100%; height: 100% }
  .storefront-arrange .shadow, .storefront-arrange .picture { pointer-events: none; will-change: transform }
  .storefront-arrange .item { will-change: transform }
  .storefront-arrange .item .grip { position: absolute; inset: 0; width: 100%; height: 100%; padding: 0; border: 0; background: none; cursor: move;
    touch-action: none; border-radius: 2px }
  .storefront-arrange .item:not(.selected):hover .grip { box-shadow: 0 0 0 1.5px #6cc1ff }
  .storefront-arrange .item .grip:focus-visible { outline-offset: 4px }
  .storefront-arrange .waits { opacity: .45 }
  .storefront-arrange .frame { z-index: 2000; pointer-events: none; box-shadow: 0 0 0 2px #2a9df4, 0 0 0 3px #fff8 }
  .storefront-arrange .handle { position: absolute; width: 14px; height: 14px; margin: -8px; border: 2px solid #2a9df4; border-radius: 50%;
    background: #fff; pointer-events: auto; touch-action: none }
  .storefront-arrange .handle::after { content: ""; position: absolute; inset: -12px } /* fingers */
  .storefront-arrange .handle.nw { left: 0; top: 0; cursor: nwse-resize } .storefront-arrange .handle.ne { left: 100%; top: 0; cursor: nesw-resize }
  .storefront-arrange .handle.se { left: 100%; top: 100%; cursor: nwse-resize } .storefront-arrange .handle.sw { left: 0; top: 100%; cursor: nesw-resize }
  .storefront-arrange .handle.n { left: 50%; top: 0; cursor: ns-resize; border-radius: 6px; width: 22px; margin-left: -12px; height: 8px }
  .storefront-arrange .handle.s { left: 50%; top: 100%; cursor: ns-resize; border-radius: 6px; width: 22px; margin-left: -12px; height: 8px }
  .storefront-arrange .handle.e { left: 100%; top: 50%; cursor: ew-resize; border-radius: 6px; height: 22px; margin-top: -12px; width: 8px }
  .storefront-arrange .handle.w { left: 0; top: 50%; cursor: ew-resize; border-radius: 6px; height: 22px; margin-top: -12px; width: 8px }
  .storefront-arrange .handle.turn { left: 50%; top: -34px; cursor: grab; background: #2a9df4; border-color: #fff }
  .storefront-arrange .safe { z-index: 1500; pointer-events: none; box-shadow: 0 0 0 1px #0006; border: 1px dashed #fffa; box-sizing: border-box }
  .storefront-arrange .guides { z-index: 1900; inset: 0; pointer-events: none }
  .storefront-arrange .guide { position: absolute; background: #ff3db8 }
  .storefront-arrange .guide.x { top: 0; bottom: 0; width: 1.5px } .storefront-arrange .guide.y { left: 0; right: 0; height: 1.5px }
  .storefront-arrange .dial { position: relative; flex: none; width: 120px; height: 120px; margin: auto auto 0; border: 1px solid #50535a;
    border-radius: 50%; background: radial-gradient(circle at center, #8d6a4a 0 11px, #3d4048 12px 54px, #2b2d32 55px); touch-action: none }
  .storefront-arrange .sun { position: absolute; left: 42px; top: 42px; width: 36px; height: 36px; padding: 0; border: 2px solid #7a5200;
    border-radius: 50%; background: #ffd54a; color: #4a3200; font-size: 20px; line-height: 1; cursor: move; touch-action: none }
  .storefront-arrange .sun.by-hand, .storefront-arrange .sun.selected { box-shadow: 0 0 0 2px #2a9df4 }
  .storefront-arrange aside, .storefront-arrange .fields { display: flex; flex-direction: column; gap: 12px }
  .storefront-arrange aside { width: 264px; flex: none; box-sizing: border-box; overflow: auto; padding: 16px; background: #26282c }
  .storefront-arrange aside p { margin: 0; color: #c8cad0; font-size: 13px }
  .storefront-arrange aside h3 { margin: 0; font-size: 15px; display: flex; justify-content: space-between; align-items: baseline }
  .storefront-arrange aside small { font-weight: 400; font-size: 12px; color: #8fd0ff }
  .storefront-arrange .field { display: grid; grid-template-columns: 1fr auto; gap: 4px 8px; align-items: center }
  .storefront-arrange .field label { grid-column: 1 } .storefront-arrange .field output { grid-row: 1; grid-column: 2; color: #c8cad0 }
  .storefront-arrange .field input, .storefront-arrange .field textarea { grid-column: 1 / -1; width: 100%; box-sizing: border-box; accent-color: #2a9df4 }
  .storefront-arrange :is(textarea, input[type=text]) { padding: 8px; border: 1px solid #50535a; border-radius: 8px; background: #1b1c1f; color: #fff; font: inherit;
    resize: vertical }
  .storefront-arrange input[type=color] { height: 36px; padding: 2px; border: 1px solid #50535a; border-radius: 8px; background: #1b1c1f }
  .storefront-arrange fieldset { display: flex; flex-wrap: wrap; gap: 4px 12px; margin: 0; padding: 8px; border: 1px solid #50535a; border-radius: 8px }
  .storefront-arrange fieldset label { display: flex; gap: 4px; align-items: center }
  .storefront-arrange .contrast.weak { color: #ffcf70 }
  @media (max-width: 720px) {
    .storefront-arrange .body { flex-direction: column }
    .storefront-arrange aside { width: auto; max-height: 38dvh; padding: 10px 12px }
    .storefront-arrange header { gap: 6px; padding: 6px 8px }
    .storefront-arrange header input[type=button]:not(.grip) { padding: 0 10px }
    .storefront-arrange h2 { display: none }
    .storefront-arrange .status { order: 9; flex-basis: 100% }
  }`
