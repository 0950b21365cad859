/** One price: US dollars for `per` of the unit. */
export interface Price {
  readonly usd: number
  readonly per: number
  readonly unit: string
  /** Where the figure comes from. `checked`: against another source than memory when the table was made. */
  readonly source: string
  readonly checked: boolean
}

/** When the table was made. Prices change seldom, and mostly fall. */
export const PRICES_AS_OF = '2026-11-21'
export const PRICES_REGION = 'us-east-1'
/** AWS's month. */
export const HOURS_A_MONTH = 730

const million = 1_000_000

/**
 * On-demand prices of us-east-1 without free tiers and discounts. `checked: false` marks what is quoted from AWS's price pages from memory and
 * must be compared with them before anybody relies on it; only the lines of the services that the project's facts list are checked.
 */
export const PRICES = {
  dynamoWriteUnit: { usd: 0.625, per: million, unit: 'write request unit', source: 'aws.amazon.com/dynamodb/pricing/on-demand', checked: true },
  dynamoReadUnit: { usd: 0.125, per: million, unit: 'read request unit', source: 'aws.amazon.com/dynamodb/pricing/on-demand', checked: true },
  dynamoStorage: { usd: 0.25, per: 1, unit: 'GB-month', source: 'aws.amazon.com/dynamodb/pricing/on-demand', checked: false },
  dynamoRecovery: {
    usd: 0.2,
    per: 1,
    unit: 'GB-month',
    source: 'aws.amazon.com/dynamodb/pricing/on-demand (point-in-time recovery)',
    checked: false,
  },
  s3Put: { usd: 5, per: million, unit: 'PUT or LIST request', source: 'aws.amazon.com/s3/pricing', checked: true },
  s3Get: { usd: 0.4, per: million, unit: 'GET request', source: 'aws.amazon.com/s3/pricing', checked: true },
  s3Storage: { usd: 0.023, per: 1, unit: 'GB-month', source: 'aws.amazon.com/s3/pricing', checked: false },
  shardHour: { usd: 0.015, per: 1, unit: 'shard-hour', source: 'aws.amazon.com/kinesis/data-streams/pricing', checked: true },
  shardHourRetention: {
    usd: 0.02,
    per: 1,
    unit: 'shard-hour',
    source: 'aws.amazon.com/kinesis/data-streams/pricing (24 hours to 7 days)',
    checked: false,
  },
  fanOutShardHour: {
    usd: 0.015,
    per: 1,
    unit: 'consumer-shard-hour',
    source: 'aws.amazon.com/kinesis/data-streams/pricing (enhanced fan-out; $0.013 a GB beside that)',
    checked: false,
  },
  kinesisPutUnit: {
    usd: 0.014,
    per: million,
    unit: 'PUT payload unit of 25 KB',
    source: 'aws.amazon.com/kinesis/data-streams/pricing',
    checked: true,
  },
  lambdaRequest: { usd: 0.2, per: million, unit: 'request', source: 'aws.amazon.com/lambda/pricing', checked: true },
  lambdaGbSecond: {
    usd: 0.0000166667,
    per: 1,
    unit: 'GB-second',
    source: 'aws.amazon.com/lambda/pricing (x86; on Arm, which is deployed, a fifth less, but CPU time is measured on x86)',
    checked: true,
  },
  sqsRequest: { usd: 0.4, per: million, unit: 'request', source: 'aws.amazon.com/sqs/pricing', checked: false },
  machineRequest: { usd: 1, per: million, unit: 'request', source: 'aws.amazon.com/step-functions/pricing (Express)', checked: false },
  machineGbSecond: {
    usd: 0.00001667,
    per: 1,
    unit: 'GB-second',
    source: 'aws.amazon.com/step-functions/pricing (Express, the first 1,000 GB-hours)',
    checked: false,
  },
  scheduledRule: {
    usd: 0,
    per: million,
    unit: 'invocation',
    source: 'aws.amazon.com/eventbridge/pricing (rules on a schedule are free)',
    checked: false,
  },
  logsGb: { usd: 0.5, per: 1, unit: 'GB', source: 'aws.amazon.com/cloudwatch/pricing (ingested)', checked: false },
  alarm: {
    usd: 0.1,
    per: 1,
    unit: 'alarm-month',
    source: 'aws.amazon.com/cloudwatch/pricing (by metric that is watched; the first ten of an account are free)',
    checked: false,
  },
  dashboard: {
    usd: 3,
    per: 1,
    unit: 'dashboard-month',
    source: 'aws.amazon.com/cloudwatch/pricing (the first three of an account are free)',
    checked: false,
  },
  flinkKpuHour: { usd: 0.11, per: 1, unit: 'KPU-hour', source: 'aws.amazon.com/managed-service-apache-flink/pricing', checked: true },
  flinkStorage: {
    usd: 0.1,
    per: 1,
    unit: 'GB-month',
    source: 'aws.amazon.com/managed-service-apache-flink/pricing (running application storage)',
    checked: false,
  },
} as const satisfies Readonly<Record<string, Price>>

export type PriceName = keyof typeof PRICES

/** Dollars for so many units. */
export function priceOf(name: PriceName, quantity: number): number {
  const { usd, per } = PRICES[name]
  return (quantity * usd) / per
}
