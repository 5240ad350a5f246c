using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Identity;
using Ka.Store;

namespace Ka.Server.Environments;

/// <summary>
/// Whose the files of the store are. To know a digest is not to have the file: only who has brought all of its bytes, or sees an environment that is made of them, uses what the store
/// holds; to everybody else it is not there.
/// </summary>
public sealed class FileRights(FileOrigins origins, EnvironmentCatalogue catalogue)
{
    /// <summary>A document with those of its files that the caller may use; the others count as not sent.</summary>
    public ApplyBody Only(Caller caller, ApplyBody document) => document.Files is { } files
        ? document with { Files = files.RemoveRange(files.Where(f => f.Value is null || !May(caller, f.Value)).Select(f => f.Key)) }
        : document;

    public bool May(Caller caller, string sha256) =>
        origins.Brought(sha256, caller.Name) || catalogue.All().Any(e => caller.Sees(e) && Registrar.FilesOf(e).Contains(sha256));
}
