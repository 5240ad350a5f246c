using System.Collections.Immutable;
using System.Formats.Tar;

namespace Ka.Protocol.Agents;

/// <summary>A file for a running system.</summary>
/// <param name="Path">File here; null when <paramref name="Text"/> is the content.</param>
public sealed record SystemFile(string Name, string? Path, string? Text);

/// <summary>Files that go to a running system by ssh, and what takes them there.</summary>
public static class RemoteScript
{
    /// <summary>
    /// Unpacks what comes in a new directory where programs may run (Debian mounts /run without) and runs its script; the same text
    /// whatever is sent.
    /// </summary>
    public const string Receive =
        "umask 077; w=; for d in /dev/shm /tmp /var/tmp; do w=$(mktemp -d \"$d/ka-go.XXXXXX\" 2>/dev/null) || continue; "
        + "printf '#!/bin/sh\\n' >\"$w/x\"; chmod 700 \"$w/x\"; \"$w/x\" 2>/dev/null && break; rm -rf \"$w\"; w=; done; "
        + "[ -n \"$w\" ] || { echo 'there is no directory in which programs may run' >&2; exit 126; }; "
        + "cd \"$w\" && tar -x -f - && exec sh ./go";

    /// <summary>Files as <see cref="Receive"/> takes them.</summary>
    public static async Task SendAsync(ImmutableArray<SystemFile> files, Stream input, CancellationToken cancel)
    {
        await using var tar = new TarWriter(input, TarEntryFormat.Ustar, leaveOpen: true);
        foreach (var file in files)
        {
            await using Stream content = file.Path is { } path ? File.OpenRead(path) : new MemoryStream(System.Text.Encoding.UTF8.GetBytes(file.Text!));
            var entry = new UstarTarEntry(TarEntryType.RegularFile, file.Name)
            {
                DataStream = content,
                Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute,
                ModificationTime = DateTimeOffset.UnixEpoch,
            };
            await tar.WriteEntryAsync(entry, cancel);
        }
    }
}
