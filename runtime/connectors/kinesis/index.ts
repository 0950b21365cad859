export type { KinesisEnumeratorState } from './kinesis-enumerator.js'
export { type KinesisSinkOptions, kinesisSink } from './kinesis-sink.js'
export { type KinesisRecordMeta, type KinesisSource, type KinesisSourceOptions, kinesisSource, utf8Line } from './kinesis-source.js'
export type { KinesisSplit } from './kinesis-split.js'
