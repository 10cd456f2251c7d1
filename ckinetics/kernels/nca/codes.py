"""The numbers that the noncompartmental kernels and their front end share: states, rules, columns, reasons, flags."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# What may be done with a sample. ABOVE is above ULOQ: its ULOQ is a lower bound of its level.
UNUSABLE, BLQ, QUANTIFIED, ABOVE = 0, 1, 2, 3

# What happens to a BLQ sample, by position.
ACTION_ZERO, ACTION_DROP, ACTION_FIRST_ZERO, ACTION_VALUE, ACTION_LLOQ_SHARE = 0, 1, 2, 3, 4
# The positions: before, between and after the quantified samples, or before and from Tmax on.
AXIS_MEASURED, AXIS_TMAX = 0, 1

LINEAR, LINEAR_UP_LOG_DOWN, LINEAR_LOG, LOG_UP_LOG_DOWN = 0, 1, 2, 3

# The area of an interval beyond the last quantified sample.
(
    TAIL_LAST,  # nothing
    TAIL_ALL,  # linear to a BLQ sample, nothing beyond
    TAIL_OWN_OBS,  # lambda_z of the interval's own samples, from the last level
    TAIL_OWN_PRED,  # the same from the predicted last level
    TAIL_SAMPLES,  # linear to a BLQ sample that follows; past the last sample the profile's lambda_z
    TAIL_PREDICTED,  # linear to a BLQ sample that follows; past the last sample the profile's terminal line
) = range(6)

# What stands at the start of a profile that has no sample there.
ANCHOR_NONE, ANCHOR_ZERO, ANCHOR_BASELINE = 0, 1, 2
# Which sample before the start is the baseline.
BASELINE_LAST, BASELINE_MEAN = 0, 1
# Which single date stands for the end of persistence.
PERSISTENCE_LAST, PERSISTENCE_MIDPOINT, PERSISTENCE_FIRST_BLQ = 0, 1, 2
# Samples chosen by hand for the terminal line.
AUTOMATIC, INCLUDED, EXCLUDED = 0, 1, 2

# Columns of the table of results, in the order of the registry.
(
    CMAX,
    TMAX,
    TLAST,
    CLAST_OBS,
    CLAST_PRED,
    AUC_LAST,
    AUC_ALL,
    AUC_INF_OBS,
    AUC_INF_PRED,
    AUC_PCT_EXTRAP_OBS,
    AUC_PCT_EXTRAP_PRED,
    AUMC_LAST,
    AUMC_ALL,
    AUMC_INF_OBS,
    AUMC_INF_PRED,
    MRT_LAST,
    MRT_INF_OBS,
    MRT_INF_PRED,
    HALF_LIFE_EFFECTIVE,
    LAMBDA_Z,
    LAMBDA_Z_INTERCEPT,
    LAMBDA_Z_N_POINTS,
    LAMBDA_Z_LOWER,
    LAMBDA_Z_UPPER,
    R_SQUARED,
    ADJ_R_SQUARED,
    SPAN_RATIO,
    HALF_LIFE,
    CMAX_LOWER,
    CMAX_UPPER,
    AUC_LAST_LOWER,
    AUC_PCT_ANCHOR,
    TFIRST,
    TLAG,
    BASELINE,
    PERSISTENCE,
    PERSISTENCE_LOWER,
    PERSISTENCE_UPPER,
    TBQL,
    EXPANSION_RATE,
    DOUBLING_TIME,
    EXPANSION_N_POINTS,
    EXPANSION_LOWER,
    EXPANSION_UPPER,
    FOLD_EXPANSION,
    FOLD_EXPANSION_LOWER,
    CONTRACTION_HALF_LIFE,
    CONTRACTION_N_POINTS,
    CONTRACTION_LOWER,
    CONTRACTION_UPPER,
    TROUGH,
    TROUGH_TIME,
    SECOND_PEAK,
    SECOND_PEAK_TIME,
    THRESHOLD_TIME,
    THRESHOLD_DURATION,
    CMIN,
    CAV,
) = range(58)
N_PARAMETERS = 58

# Columns of the table of facts about a profile.
N_SAMPLES, N_QUANTIFIED, N_BLQ, N_ABOVE, FIRST_TIME, LAST_TIME, PEAK_TIME = range(7)
N_FACTS = 7
# What a first look at the usable samples finds: places of the first and last sample that is not BLQ and of the first
# BLQ one after that (-1 where none), limits, and whether a BLQ sample lies between or an LLOQ is unknown.
FIRST_AT, LAST_AT, LOST_AT, LOW_LIMIT, TOP_LIMIT, EMBEDDED, UNKNOWN_LLOQ = range(7)
N_SURVEY = 7

# Reasons why a value is missing; 0 where there is one.
(
    COMPUTED,
    NO_SAMPLE,
    ALL_BLQ,
    ONE_SAMPLE,
    STARTS_LATE,
    ABOVE_ULOQ,
    TOO_FEW_POINTS,
    NO_DECLINE,
    NO_TERMINAL_PHASE,
    PREDOSE_POSITIVE,
    NO_BOUND,
    TIE_IN_LOG,
    NO_AREA,
    NO_PREDOSE_SAMPLE,
    STILL_QUANTIFIED,
    PEAK_IS_FIRST,
    NO_BLQ_BEFORE,
    NO_SECOND_PEAK,
    NO_THRESHOLD,
    NEVER_REACHED,
    NO_END,
    NO_DOSE,
    NO_SCATTER,
    NOT_CONVERGED,
    NO_STANDARD_ERROR,
    TOO_FEW_DRAWS,
    NO_PAIR,
    NO_RISE,
    BASELINE_BLQ,
    MISSING_BEFORE,
    TROUGH_BLQ,
    NO_LATER_SAMPLE,
) = range(32)

# Bits of the flags of a profile.
(
    FLAG_PEAK_AT_FIRST,
    FLAG_PEAK_AT_LAST,
    FLAG_ANCHORED,
    FLAG_EXTRAPOLATED,
    FLAG_POOR_LINE,
    FLAG_SHORT_SPAN,
    FLAG_FEW_POINTS,
    FLAG_RISES_AGAIN,
    FLAG_STILL_QUANTIFIED,
    FLAG_LLOQ_UNKNOWN,
    FLAG_ABOVE_ULOQ,
    FLAG_MANUAL_LINE,
    FLAG_THRESHOLD_OPEN,
    FLAG_EMBEDDED_BLQ,
    FLAG_IMPUTED,
    FLAG_OTHER_INFUSION,
) = (1 << bit for bit in range(16))


# The rules of an analysis, as the kernels take them: a record, which a call passes by its address. `action_…` and
# `value_…` say what happens to a BLQ sample by position; `imputed_counts` lets a positive value put in for a BLQ sample
# count as measured; `pknca` does the arithmetic of areas as PKNCA 0.12.1 does; `by_hand` and `disposition` say that
# there are samples chosen by hand, and that cmin is wanted.
RULES = np.dtype(
    [
        ("method", np.int64),
        ("axis", np.int64),
        ("action_first", np.int64),
        ("action_middle", np.int64),
        ("action_last", np.int64),
        ("value_first", np.float64),
        ("value_middle", np.float64),
        ("value_last", np.float64),
        ("all_blq_zero", np.bool_),
        ("imputed_counts", np.bool_),
        ("pknca", np.bool_),
        ("tail", np.int64),
        ("anchor", np.int64),
        ("anchor_gap", np.float64),
        ("baseline", np.int64),
        ("minimum", np.int64),
        ("tolerance", np.float64),
        ("discard_rising", np.bool_),
        ("first_tmax", np.bool_),
        ("tmax_in_line", np.bool_),
        ("persistence", np.int64),
        ("peak_log_fold", np.float64),
        ("peak_errors", np.float64),
        ("contraction_days", np.float64),
        ("threshold", np.float64),
        ("limit_anchor", np.float64),
        ("limit_extrapolated", np.float64),
        ("limit_r_squared", np.float64),
        ("limit_span", np.float64),
        ("limit_points", np.int64),
        ("peaks_from", np.float64),
        ("by_hand", np.bool_),
        ("disposition", np.bool_),
    ]
)


class Samples(NamedTuple):
    """The samples of many profiles, (profile, sample); a table of one place stands for a variable without values."""

    time: np.ndarray
    level: np.ndarray
    status: np.ndarray
    excluded: np.ndarray
    lod: np.ndarray
    lloq: np.ndarray
    uloq: np.ndarray
    se_well: np.ndarray
    se_plate: np.ndarray
    plate: np.ndarray
    selection: np.ndarray
    state_of: np.ndarray


# Rows of the scratch of one profile, (row, place). The usable samples in the window come first (AT_*, in order of time
# from the start of the window; AT_LOG is the logarithm of the level, or of the limit that bounds it), then the cleaned
# ones (T, C, Y = ln C, SOURCE a place among the usable ones or -1, OWN whether measured, SEGMENT the area up to the
# next), then the windows of the terminal line by their number of samples.
(
    AT_TIME,
    AT_LEVEL,
    AT_LOG,
    AT_STATE,
    AT_LLOQ,
    AT_SAMPLE,
    AT_MARK,
    AT_SE_WELL,
    AT_SE_PLATE,
    AT_PLATE,
    T,
    C,
    Y,
    SOURCE,
    OWN,
    MARK,
    SEGMENT,
    LINE_FIT,
    LINE_STY,
    LINE_STT,
    LINE_TIME,
    LINE_LOG,
    LINE_R2,
    LINE_FIRST,
    INVERSE,  # 1/k for a line through k samples, and the factor of 1 - R² in its adjusted R²
    ADJUSTMENT,
) = range(26)
N_ROWS = 26
# The rows that a second cleaned profile of the same usable samples needs for itself.
FIRST_CLEAN_ROW = T
