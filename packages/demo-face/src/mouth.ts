/** Shape of the lips and what is visible between them. */
export interface MouthShape {
  /** Jaw: 0 closed, 1 wide open. */
  open: number;
  /** Corners of the lips: −1 rounded and protruded ("oo"), 1 spread ("ee"). */
  width: number;
  /** Lips pressed together ("m"), 0…1. */
  press: number;
  /** Lower lip under the upper teeth ("f"), 0…1. */
  tuck: number;
  /** Tip of the tongue at the teeth ("th", "l"), 0…1. */
  tongue: number;
}

export const REST_MOUTH: MouthShape = { open: 0, width: 0, press: 0, tuck: 0, tongue: 0 };
