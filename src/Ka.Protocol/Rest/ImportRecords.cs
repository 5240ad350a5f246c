using System.Collections.Immutable;

namespace Ka.Protocol.Rest;

/// <summary>Makes an environment of a container image. Its layers are referred to by digest; the client has sent them before.</summary>
/// <param name="Layers">The lowest first.</param>
/// <param name="BootFrom"><c>NAME</c> or <c>NAME:VERSION</c> of an environment that gives kernel, initrd and modules.</param>
/// <param name="Params">Kernel parameters; null for those of <paramref name="BootFrom"/>.</param>
public sealed record ImportBody(string Name, int Version, string Description, ImmutableArray<ImportLayer> Layers, string BootFrom, string? Params);

/// <summary>A layer of a container image.</summary>
/// <param name="Sha256">Of the file as it was sent.</param>
/// <param name="Compression"><c>none</c>, <c>gzip</c> or <c>zstd</c>.</param>
/// <param name="DiffId">SHA-256 of the uncompressed layer, from the image's configuration.</param>
public sealed record ImportLayer(string Sha256, string Compression, string DiffId);
