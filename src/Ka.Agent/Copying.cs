using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Ka.Broadcast;
using Ka.Broadcast.Standalone;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent;

/// <summary><c>ka-agent receive ORDER</c>: takes a file or tree from a sender in a running system, and passes it on.</summary>
static class Copying
{
    /// <summary>0 when everything is there, 1 with the fault on standard error when not, 64 when the order is none.</summary>
    public static async Task<int> Run(string file, TextWriter errors, CancellationToken cancel)
    {
        CopyOrder? order;
        try
        {
            order = JsonSerializer.Deserialize(await File.ReadAllTextAsync(file, cancel), AgentJson.Default.CopyOrder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            await errors.WriteLineAsync($"ka-agent: {file}: {e.Message}");
            return 64;
        }
        if (order is null || !IPEndPoint.TryParse(order.From, out var sender) || !BroadcastKey.TryParse(order.Key, out var key) || !Path.IsPathRooted(order.To))
        {
            await errors.WriteLineAsync($"ka-agent: {file}: the order contradicts itself");
            return 64;
        }
        var fault = await Run(order, sender, key, cancel);
        if (fault is null)
        {
            return 0;
        }
        await errors.WriteLineAsync($"{fault.Code.Text}: {fault.Message} {fault.Evidence}".TrimEnd());
        return 1;
    }

    static async Task<Fault?> Run(CopyOrder order, IPEndPoint sender, BroadcastKey key, CancellationToken cancel)
    {
        var receiver = new StandaloneReceiver(new ReceiveRequest(sender, null, order.Name, key, TimeSpan.FromSeconds(order.WaitSeconds), ChainOptions.Default));
        try
        {
            return order.IsTree ? await Tree(order.To, receiver, cancel) : await Whole(order, receiver, cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception)
        {
            return Fault.Of(FaultCodes.DiskIoError, "What came could not be written.", e.Message);
        }
    }

    /// <summary>The file takes its name when all of it is on the disk: whoever opens it before sees the old one.</summary>
    static async Task<Fault?> Whole(CopyOrder order, StandaloneReceiver receiver, CancellationToken cancel)
    {
        var part = Path.Combine(Path.GetDirectoryName(order.To)!, $".{Path.GetFileName(order.To)}.ka-{Guid.NewGuid():n}");
        try
        {
            await using (var file = new FileStream(part, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
            {
                if (await receiver.Run(file, cancel) is { } fault)
                {
                    return fault;
                }
                file.Flush(flushToDisk: true);
            }
            File.SetUnixFileMode(part, (UnixFileMode)(order.Mode & 0xFFF));
            File.Move(part, order.To, overwrite: true);
            return null;
        }
        finally
        {
            File.Delete(part);
        }
    }

    static async Task<Fault?> Tree(string directory, StandaloneReceiver receiver, CancellationToken cancel)
    {
        Directory.CreateDirectory(directory);
        using var tar = Process.Start(new ProcessStartInfo("tar", ["-x", "-p", "--numeric-owner", "--xattrs", "--acls", "-f", "-", "-C", directory]) { RedirectStandardInput = true, RedirectStandardError = true })!;
        var said = tar.StandardError.ReadToEndAsync(cancel);
        var fault = await receiver.Run(tar.StandardInput.BaseStream, cancel);
        tar.StandardInput.Close();
        await tar.WaitForExitAsync(cancel);
        return fault ?? (tar.ExitCode == 0 ? null : Fault.Of(FaultCodes.ImageExtractFailed, $"tar ended with status {tar.ExitCode}.", (await said).Trim()));
    }
}
