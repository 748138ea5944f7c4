-- Each kept document held against each rule of the scored stage: value, threshold, outcome.
{{ config(alias='verdicts') }}

{{ verdicts(ref('scored_evidence'), 'scored') }}
