using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Ka.SystemTests.Deployments;

namespace Ka.SystemTests.Broadcast;

/// <summary>Real processes on sixteen hosts, one of which has a tenth of the others' rate.</summary>
public sealed partial class Straggling
{
    const int Receivers = 16, Slow = 7;

    static string Ka => Path.Combine(AppContext.BaseDirectory, "ka");

    [Theory]
    [InlineData("tail", 0, "done, but is served alone")]
    [InlineData("evict", 3, "It was slow even when it was served alone")]
    public async Task The_slow_one_is_named_and_the_others_have_everything_before_it(string policy, int status, string fate)
    {
        await using var net = await NamespaceNet.CreateAsync(Receivers + 1, "300mbit");
        await net.ShapeAsync(Slow, "30mbit");
        var image = Path.Combine(net.Directory, "image");
        await using (var file = File.Create(image))
            file.SetLength(160L << 20);
        var key = Path.Combine(net.Directory, "key");
        await RealLab.MustAsync(Ka, ["bcast", "key", key]);
        var sender = net.Start(0, Ka, "bcast", "send", image, "--listen", NamespaceNet.Address(0) + ":7000", "--key", key, "--count", $"{Receivers}", "--straggler", policy);
        var receivers = Enumerable.Range(1, Receivers).Select(i => net.Start(
            i, Ka, "bcast", "recv", "--from", NamespaceNet.Address(0) + ":7000", "--key", key, "--name", $"n{i}", "--to", "null")).ToArray();
        var talk = sender.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var said = await sender.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await sender.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(sender.ExitCode == status, $"status {sender.ExitCode}: {said}\n{await talk}");
        foreach (var i in Enumerable.Range(1, Receivers).Where(i => i != Slow))
        {
            await receivers[i - 1].WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.True(receivers[i - 1].ExitCode == 0, await receivers[i - 1].StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
        }
        Assert.Contains($"  n{Slow} stands aside: its link gives ", await talk, StringComparison.Ordinal);
        Assert.Contains(fate, said, StringComparison.Ordinal);
        var (others, all) = (Seconds(Others(), said), Seconds(All(), said));
        // All are those that have it: one that was ended is none of them.
        Assert.True(policy == "evict" ? others == all : others < all, said);
        TestContext.Current.SendDiagnosticMessage($"{policy}: the others {others} s, all {all} s");
    }

    static double Seconds(Regex where, string said) => double.Parse(where.Match(said).Groups[1].Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"the others had it after ([\d.]+) s")]
    private static partial Regex Others();

    [GeneratedRegex(@"bytes in ([\d.]+) s;")]
    private static partial Regex All();
}
