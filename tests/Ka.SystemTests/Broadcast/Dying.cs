using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Ka.SystemTests.Deployments;

namespace Ka.SystemTests.Broadcast;

/// <summary>Real processes on sixteen hosts: some die in the middle, each in its way, and nobody else is lost.</summary>
public sealed partial class Dying
{
    const int Receivers = 16;
    const int MiB = 1024 * 1024;
    const int Bytes = 64 * MiB;

    static string Ka => Path.Combine(AppContext.BaseDirectory, "ka");

    /// <param name="how">kill: SIGKILL; stop: SIGSTOP; cut: its link goes down.</param>
    /// <param name="victims">Places in the chain, from 1.</param>
    /// <param name="percent">Of the image that the first victim has when they die.</param>
    [Theory]
    [InlineData("kill", new[] { 1 }, 30)]
    [InlineData("kill", new[] { 5, 6, 7, 8 }, 50)]
    [InlineData("stop", new[] { 16 }, 20)]
    [InlineData("stop", new[] { 3, 9 }, 60)]
    [InlineData("cut", new[] { 8 }, 40)]
    [InlineData("kill", new[] { 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16 }, 45)]
    public async Task Who_does_not_die_has_every_byte_and_the_sender_sends_little_more_than_once(string how, int[] victims, int percent)
    {
        await using var net = await NamespaceNet.CreateAsync(Receivers + 1, "400mbit");
        var image = Path.Combine(net.Directory, "image");
        var bytes = new byte[Bytes];
        new Random(percent).NextBytes(bytes);
        await File.WriteAllBytesAsync(image, bytes);
        var key = Path.Combine(net.Directory, "key");
        await RealLab.MustAsync(Ka, ["bcast", "key", key]);

        var sender = net.Start(0, Ka, "bcast", "send", image, "--listen", NamespaceNet.Address(0) + ":7000", "--key", key, "--count", $"{Receivers}");
        var receivers = Enumerable.Range(1, Receivers).Select(i => net.Start(
            i, Ka, "bcast", "recv", "--from", NamespaceNet.Address(0) + ":7000", "--key", key, "--name", $"n{i}", "--to", Out(i))).ToArray();
        var talk = sender.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await RealLab.UntilAsync(
            "the first victim has its share",
            () => Task.FromResult(new FileInfo(Out(victims[0])) is { Exists: true } file && file.Length >= (long)Bytes * percent / 100 ? "yes" : sender.HasExited ? throw new InvalidOperationException("the sender has ended before") : null),
            TimeSpan.FromMinutes(2));
        foreach (var victim in victims)
        {
            if (how == "cut")
                await net.CutAsync(victim);
            else
                await RealLab.MustAsync("kill", [how == "kill" ? "-KILL" : "-STOP", $"{receivers[victim - 1].Id}"]);
        }

        var said = await sender.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await sender.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(3, sender.ExitCode);
        var sha = SHA256.HashData(bytes);
        foreach (var i in Enumerable.Range(1, Receivers).Except(victims))
        {
            var errors = await receivers[i - 1].StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            await receivers[i - 1].WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.True(receivers[i - 1].ExitCode == 0, $"n{i}: {errors}\n{said}\n{await talk}");
            Assert.Equal(sha, SHA256.HashData(await File.ReadAllBytesAsync(Out(i))));
        }
        var summary = Summary().Match(said);
        Assert.True(summary.Success, said);
        Assert.Equal($"{Receivers - victims.Length} of {Receivers}", summary.Groups[1].Value);
        // Who asked the sender after the death of the first asks it for what is left, which somebody has to: no more than that, and what was lost on the way.
        var sent = long.Parse(summary.Groups[3].Value, CultureInfo.InvariantCulture);
        Assert.InRange(sent, Bytes, (1.05 * Bytes) + (Receivers * 4.0 * MiB));
        TestContext.Current.SendDiagnosticMessage($"{how} {string.Join(',', victims)} at {percent} %: {summary.Groups[2].Value} s, sent {sent / (double)Bytes:0.00} times");

        string Out(int i) => Path.Combine(net.Directory, $"out{i}");
    }

    [GeneratedRegex(@"(\d+ of \d+) have it: \d+ bytes in ([\d.]+) s; the sender sent (\d+) bytes")]
    private static partial Regex Summary();
}
