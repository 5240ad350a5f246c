using System.Diagnostics;
using System.Text;
using Ka.Agent.Machine;
using Ka.Agent.Verification;
using Ka.Core.Faults;
using Ka.Protocol.Agents;
using Ka.Protocol.Manifests;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="VerifyTarget"/>: what the disk gives back is what was packed.</summary>
/// <remarks>Result values: <c>verify</c> (mode), <c>verifyCompared</c>, <c>verifyRead</c>, <c>verifyBytes</c>, <c>verifyMilliseconds</c>.</remarks>
static class Verifying
{
    /// <summary>A sample may cost this share of the time that receiving and unpacking took; then it reads only kernel and initrd.</summary>
    const double TimeShare = 0.1;

    static readonly TimeSpan LeastTime = TimeSpan.FromSeconds(1);

    /// <summary>Evidence begins with the first paths: it is made to fit.</summary>
    const int EvidenceLimit = Fault.EvidenceLimit - 100;

    public static async Task<OrderOutcome> Run(VerifyTarget order, OrderContext context, Report report, CancellationToken cancel)
    {
        report("verify", 0);
        if (order.Mode == VerifyMode.None)
        {
            return OrderOutcome.Done;
        }
        Directory.CreateDirectory(context.Paths.Run);
        var file = Path.Combine(context.Paths.Run, $"files-{Guid.NewGuid():n}.gz");
        try
        {
            return await context.Files.Fetch(order.ManifestSha256, file, cancel) ?? await Task.Run(() => Check(file, order, context, report, cancel), cancel);
        }
        finally
        {
            File.Delete(file);
        }
    }

    static OrderOutcome Check(string file, VerifyTarget order, OrderContext context, Report report, CancellationToken cancel)
    {
        FileManifest? manifest;
        using (var packed = File.OpenRead(file))
        {
            (manifest, var broken) = ManifestText.Read(packed, cancel);
            if (manifest is null)
            {
                return broken!;
            }
        }
        if (manifest.ImageSha256 != order.ImageSha256)
        {
            return Fault.Of(FaultCodes.ManifestInvalid, "The file manifest belongs to another image.", $"{manifest.ImageSha256} instead of {order.ImageSha256}");
        }
        var began = Stopwatch.GetTimestamp();
        if (FromDisk(context.Paths) is { } notSynced)
        {
            return notSynced;
        }
        var (found, fault) = Verify(manifest, order, context, report, cancel);
        return found is null ? fault! : Outcome(found, (long)Stopwatch.GetElapsedTime(began).TotalMilliseconds);
    }

    static (VerifyReport?, Fault?) Verify(FileManifest manifest, VerifyTarget order, OrderContext context, Report report, CancellationToken cancel)
    {
        var target = context.Paths.Target;
        var mounts = new MountPlaces(Mounts.Read(context.Paths), target, order.Elsewhere);
        var always = new[] { order.Kernel, order.Initrd }.OfType<string>().Select(p => TargetPath.Resolve(target, p)).OfType<string>().Select(p => TargetPath.Inside(target, p)).ToArray();
        var limit = context.Unpacked * TimeShare;
        var options = new CheckOptions(order.Mode, order.Seed, Deployed: false, always, limit > LeastTime ? limit : LeastTime) { OnlyRootIsNew = order.OnlyRootIsNew };
        var total = order.Mode == VerifyMode.Full ? manifest.Entries.Where(e => e.SameAs is null).Sum(e => e.Bytes) : (long?)null;
        return TreeCheck.Run(target, manifest, mounts, options, bytes => report("verify", bytes, total), cancel);
    }

    /// <summary>Everything is on the disk and nothing in memory: what is read now, the disk gives.</summary>
    static Fault? FromDisk(AgentPaths paths)
    {
        if (Mounts.Sync(Mounts.Below(Mounts.Read(paths), paths.Target), "The unpacked image") is { } notWritten)
        {
            return notWritten;
        }
        try
        {
            File.WriteAllText(Path.Combine(paths.Proc, "sys/vm/drop_caches"), "3\n");
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Fault.Of(FaultCodes.DiskIoError, "The kernel could not be made to forget what it holds of the disk.", e.Message);
        }
    }

    static OrderOutcome Outcome(VerifyReport report, long milliseconds)
    {
        var values = OrderOutcome.Found(
            ("verify", report.Mode),
            ("verifyCompared", report.Compared.ToString()),
            ("verifyRead", report.Read.ToString()),
            ("verifyBytes", report.ReadBytes.ToString()),
            ("verifyMilliseconds", milliseconds.ToString()));
        if (report.Same)
        {
            return values;
        }
        return values with { Fault = Fault.Of(FaultCodes.DiskMismatch, $"{report.Differing} thing(s) on the disk are not as packed, the first at {report.Differences[0].Path}.", Evidence(report)) };
    }

    static string Evidence(VerifyReport report)
    {
        var text = new StringBuilder();
        var told = 0;
        foreach (var line in report.Differences.Select(d => d.ToString()))
        {
            if (text.Length + line.Length > EvidenceLimit)
            {
                break;
            }
            text.Append(line).Append('\n');
            told++;
        }
        return told < report.Differing ? text.Append($"and {report.Differing - told} more").ToString() : text.ToString().TrimEnd('\n');
    }
}
