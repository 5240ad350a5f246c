using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Ka.Protocol.Agents;

/// <summary>What an agent sends to its server: one JSON text frame of a WebSocket (RFC 6455) over TLS for each message.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(AgentHello), "hello")]
[JsonDerivedType(typeof(AgentProgress), "progress")]
[JsonDerivedType(typeof(AgentResult), "result")]
[JsonDerivedType(typeof(AgentPulse), "pulse")]
public abstract record AgentMessage;

/// <summary>The first message. The credential is the single-use one of the kernel command line, or the session that an earlier welcome gave.</summary>
/// <param name="Version">Protocol version, <see cref="AgentProtocol.Version"/>.</param>
/// <param name="Credential">Single-use credential, or null when <paramref name="Session"/> is given.</param>
/// <param name="Session">Session secret of an earlier welcome, when the agent comes back after its server or its link died.</param>
/// <param name="BootNonce">The nonce of the boot that the server triggered (kernel parameter <c>ka.nonce</c>).</param>
/// <param name="ChainPort">TCP port on which the agent serves its successor.</param>
public sealed record AgentHello(
    int Version,
    string? Credential,
    string? Session,
    string BootNonce,
    int ChainPort,
    NodeInventory Inventory) : AgentMessage;

/// <summary>Sent every <see cref="AgentProtocol.PulsePeriod"/> so that silence can be told from work.</summary>
public sealed record AgentPulse(double UptimeSeconds) : AgentMessage;

/// <summary>How far an order is; sent at most twice a second.</summary>
/// <param name="Phase">A word for people: <c>receive</c>, <c>extract</c>, <c>format</c>, …</param>
/// <param name="Done">Bytes done in this phase.</param>
/// <param name="Total">Bytes in all, when known.</param>
public sealed record AgentProgress(string OrderId, string Phase, long Done, long? Total, long BytesIn = 0, long BytesOut = 0) : AgentMessage;

/// <summary>The end of an order. An agent keeps the results of its orders and sends the same one again when the same order id comes twice.</summary>
/// <param name="Fault">Null when the order was carried out.</param>
/// <param name="ExitCode">Exit status of the program that mattered, when there was one.</param>
/// <param name="StandardOutput">At most <see cref="AgentProtocol.OutputLimit"/> characters from the end.</param>
/// <param name="Values">What the order found out: <c>device</c>, <c>root</c>, <c>hostKey</c>, <c>bytesIn</c>, <c>bytesOut</c>, …</param>
public sealed record AgentResult(
    string OrderId,
    AgentFault? Fault,
    int? ExitCode = null,
    string? StandardOutput = null,
    string? StandardError = null,
    ImmutableDictionary<string, string>? Values = null) : AgentMessage;

/// <summary>A fault as it crosses the wire; <paramref name="Code"/> is one of the catalogue in Ka.Core.</summary>
public sealed record AgentFault(string Code, string Message, string? Evidence = null);

/// <summary>What the agent sees of its machine.</summary>
/// <param name="Firmware"><c>bios</c> or <c>uefi</c>.</param>
public sealed record NodeInventory(
    string Firmware,
    long MemoryBytes,
    int Processors,
    string? Vendor,
    string? Product,
    string? Serial,
    string KernelRelease,
    ImmutableArray<DiskSeen> Disks,
    ImmutableArray<NicSeen> Nics);

/// <param name="Name">Kernel name, <c>vda</c>.</param>
/// <param name="Path">Stable path under <c>/dev/disk/by-path</c> as udev would name it, or null.</param>
/// <param name="Bus"><c>nvme</c>, <c>sata</c>, <c>scsi</c>, <c>virtio</c>, <c>mmc</c>, <c>usb</c>, <c>other</c>.</param>
public sealed record DiskSeen(string Name, string? Path, string Bus, long Bytes, string? Model, string? Serial, bool Rotational);

/// <summary>A network card as the agent sees it.</summary>
public sealed record NicSeen(string Name, string Mac, string? Driver, bool Up, int? SpeedMegabits);

/// <summary>What a server sends to an agent.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(AgentWelcome), "welcome")]
[JsonDerivedType(typeof(AgentRefusal), "refusal")]
[JsonDerivedType(typeof(OrderGiven), "order")]
[JsonDerivedType(typeof(OrderCancelled), "cancel")]
public abstract record ServerMessage;

/// <param name="Session">Secret with which this agent may come back during this boot; kept in memory only.</param>
public sealed record AgentWelcome(string Node, string Session) : ServerMessage;

/// <summary>The agent is not wanted; it waits <paramref name="RetrySeconds"/> and tries again, or stops when that is null.</summary>
public sealed record AgentRefusal(string Code, string Message, int? RetrySeconds) : ServerMessage;

/// <param name="Id">Unique for each order; the same id again is the same order, not a second one.</param>
/// <param name="DeadlineSeconds">The agent stops the order by itself after this many seconds.</param>
public sealed record OrderGiven(string Id, int DeadlineSeconds, AgentOrder Order) : ServerMessage;

/// <summary>The server no longer wants an order.</summary>
public sealed record OrderCancelled(string Id) : ServerMessage;

/// <summary>Constants of the agent protocol.</summary>
public static class AgentProtocol
{
    public const int Version = 1;

    /// <summary>Path of the WebSocket on the server's agent listener.</summary>
    public const string Path = "/agent/v1";

    /// <summary>Where an agent fetches a file by its SHA-256 (hex), with its session as bearer token.</summary>
    public const string FilesPath = "/agent/v1/files/";

    public const int OutputLimit = 16 * 1024;

    /// <summary>Where an image lies on a node that is brought whole before it is unpacked.</summary>
    public const string WholeImagePath = "/run/ka/whole/image";

    /// <summary>Largest message in bytes: an order carries 64 characters for each MiB of image.</summary>
    public const int MessageLimit = 16 * 1024 * 1024;

    public static readonly TimeSpan PulsePeriod = TimeSpan.FromSeconds(2);

    /// <summary>Kernel parameters by which an agent finds its server.</summary>
    public const string ServerParameter = "ka.server";       // host:port of the agent listener
    public const string FingerprintParameter = "ka.fp";      // SHA-256 of the server certificate (DER), hex
    public const string CredentialParameter = "ka.cred";     // single-use credential
    public const string NonceParameter = "ka.nonce";         // boot nonce
}
