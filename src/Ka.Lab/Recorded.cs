using System.Runtime.InteropServices;

namespace Ka.Lab;

/// <summary>
/// A process known by a file with its id. The id alone proves nothing after a crash, so the process counts only when its
/// command line has <paramref name="Token"/>, a path of this lab, as one argument.
/// </summary>
public sealed partial record Recorded(string PidFile, string Token)
{
    private const int SigTerm = 15;
    private const int SigKill = 9;

    /// <summary>The live process's id, or null.</summary>
    public int? Id
    {
        get
        {
            try
            {
                return int.TryParse(File.ReadAllText(PidFile), out var id) && Matches(id) ? id : null;
            }
            catch (IOException)
            {
                return null;
            }
        }
    }

    public bool IsAlive => Id is not null;

    private bool Matches(int id)
    {
        try
        {
            return File.ReadAllText($"/proc/{id}/cmdline").Split('\0').Contains(Token);
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Ends the process: politely for <paramref name="grace"/>, then for good; returns when it is gone.</summary>
    public async Task End(TimeSpan grace, CancellationToken cancel)
    {
        if (Id is { } id)
        {
            if (grace > TimeSpan.Zero)
            {
                _ = Kill(id, SigTerm);
                await Gone(id, grace, cancel);
            }

            if (Matches(id))
            {
                _ = Kill(id, SigKill);
                await Gone(id, TimeSpan.FromSeconds(10), cancel);
            }

            if (Matches(id))
                throw new LabException($"Process {id} ({Token}) does not end.");
        }

        if (File.Exists(PidFile))
            File.Delete(PidFile);
    }

    private async Task Gone(int id, TimeSpan limit, CancellationToken cancel)
    {
        var until = DateTime.UtcNow + limit;
        while (Matches(id) && DateTime.UtcNow < until)
            await Task.Delay(20, cancel);
    }

    /// <summary>Sends TERM, then KILL, to processes that are this lab's because they live in its namespace.</summary>
    public static async Task EndStrays(IReadOnlyList<int> ids, CancellationToken cancel)
    {
        foreach (var id in ids)
            _ = Kill(id, SigTerm);
        for (var turn = 0; turn < 50 && ids.Any(Exists); turn++)
            await Task.Delay(20, cancel);
        foreach (var id in ids.Where(Exists))
            _ = Kill(id, SigKill);
    }

    private static bool Exists(int id) => File.Exists($"/proc/{id}/stat") && new FileInfo($"/proc/{id}/exe").LinkTarget is not null;

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int id, int signal);
}
