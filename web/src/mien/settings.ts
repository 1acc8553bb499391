// What Python writes for this side (`mien model export NAME --to web`): the manifest of the model, and the constants of
// Mien's reading. No label, size, prior or threshold is written in this package.

export interface Head {
  labels: string[];
  temperature: number;
  curvature?: number;
  scale?: number[];
  bias?: number[];
  prior?: number[];
}

// The artifact's manifest.json, as far as reading needs it; see `mien.artifact.manifest`.
export interface Manifest {
  name: string;
  version: string;
  licence: string;
  input: { height: number; width: number; channels: number; crop_scale: number };
  heads: Record<string, Head>;
  default_head: string;
  reading?: { balance: number };
  affect?: Record<string, { sd: number[] }>;
}

export interface DetectorRules {
  name: string;
  input: string;
  output: string;
  min_score: number;
  strides: number[];
  longest_px: number;
  close_up_px: number;
  smallest_px: number;
  largest_face_px: number;
  same_face: number;
  unseen: number;
  low_costs: number;
  min_face_px: number;
  largest_px: number;
  least_gain: number;
  max_overlap: number;
  candidates: number;
}

export interface VerifierRules {
  input: string;
  output: string;
  side_px: number;
  surroundings: number;
  most: number;
  close_up_px: number;
  candidate_score: number;
  // A constant, and what counts: the detector's logit, the verifier's, and that the face fills a close-up.
  fusion: [number, number, number, number];
}

export interface TrackingRules {
  max_gap_s: number;
  min_overlap: number;
  min_likeness: number;
  thumb_px: number;
  noise: number;
  agility: number;
  coast_s: number;
}

export interface StreamRules {
  smooth_s: number;
  hold_s: number;
  floor: number;
  face_px: number;
  size_step_px: number;
  full_look_s: number;
  detection_share: number;
  max_skipped: number;
  search_every: number;
  near: number;
  near_px: number;
  same_face: number;
}

// One kind of trouble in seeing a face: from where it leaves nothing to where it is no trouble.
export interface Ramp {
  word: string;
  nothing: number;
  enough: number;
}

export interface QualityRules {
  good: string;
  small: Ramp;
  faint: Ramp;
  blurred: Ramp;
  profile: Ramp;
  turn_by_nose: number;
}

export interface AffectRules {
  // Valence, arousal and intensity, and the values of each head that a model may have for them.
  names: string[];
  heads: Record<string, string[]>;
  // The head whose words tell what the model has no head for, if there is one; and what results call all of these.
  words: string | null;
  source: string;
  circumplex: Record<string, [number, number]>;
  residual: [number, number];
  annotators: number;
  neutral: string;
}

export interface CropRules {
  upright_deg: number;
  aspect: number;
}

export interface Rules {
  format: number;
  mien: string;
  files: Record<string, string>;
  input: string;
  labels: Record<string, string[]>;
  not_sure: string;
  columns: { before: string[]; after: string[] };
  detector: DetectorRules;
  crop: CropRules;
  verifier: VerifierRules;
  tracking: TrackingRules;
  stream: StreamRules;
  quality: QualityRules;
  affect: AffectRules;
}

export const FORMAT = 2;

export class MienError extends Error {}

export function checkRules(rules: Rules): Rules {
  if (rules.format !== FORMAT) {
    throw new MienError(
      `reading.json has format ${rules.format}, this page reads ${FORMAT}: export the model again with mien model export --to web`,
    );
  }
  return rules;
}
