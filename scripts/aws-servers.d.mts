export type AwsServerName = 'dynamodb' | 'kinesis' | 'ministack'

export interface AwsServers {
  readonly urls: Readonly<Record<AwsServerName, string>>
  stop(): Promise<void>
}

export function startAwsServers(names?: readonly AwsServerName[]): Promise<AwsServers>

/** The folder of a server's versions, checksums and launcher. */
export function pinsOf(name: AwsServerName): string

/** The folder that a server is installed in, which it is now if it was not. */
export function installServer(name: AwsServerName): Promise<string>
